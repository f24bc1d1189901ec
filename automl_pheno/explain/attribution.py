"""What an explanation is: contributions of positions or variants to predictions, in phenotype units."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_pheno.data.dataset import FloatArray, Inputs, IntArray, StrArray
from automl_pheno.data.encode import PADDING, one_hot

if TYPE_CHECKING:
    import shap
    from matplotlib.figure import Figure

_LETTERS = np.array(list("-ACMGRSVTWYHKDBN"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contributions:
    """What one explainer returns; `explain` makes an `Attribution` of it.

    Attributes
    ----------
    values
        Contribution of each position or variant, phenotype units, float64, shape (n, width).
    base_value
        Mean prediction over the background of each sample, phenotype units, shape (n,).
    rows
        Which of the samples asked for were explained (an explainer may do fewer to end in time), shape (n,).
    hypothetical
        Sequences, gradient methods: what each base would contribute there, shape (n, width, 4).
    deltas
        Completeness error of each pair of sample and reference, phenotype units, shape (n, n_references).
    notes
        For the manifest: settings, background size, what was cut short and why.
    """

    values: FloatArray
    base_value: FloatArray
    rows: IntArray
    hypothetical: FloatArray | None = None
    deltas: FloatArray | None = None
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attribution:
    """Contributions to predictions, and how they were obtained.

    Attributes
    ----------
    inputs
        The explained samples, n of them.
    ids
        Their ids, shape (n,).
    rows
        Their positions in the inputs given to `explain`, shape (n,).
    values
        Phenotype units. ``sequence``: shape (n, length, 4), the contribution of a position at the channel of its
        base (shared out by probability where the base is ambiguous, evenly where there is padding).
        ``genotype``: shape (n, n_variants).
    base_value
        Mean prediction over the background, phenotype units, shape (n,).
    predictions
        Phenotype units, shape (n,).
    completeness
        ``base_value + sum of values - prediction``, phenotype units, shape (n,): 0 for an exact method.
    method
        Name in ``EXPLAINERS``; the one that was used, after any fallback.
    hypothetical, deltas
        See `Contributions`.
    manifest
        Method, fallback and its reason, background, seeds, error quantiles, versions. JSON-ready.
    warnings
        Sentences that must be read with it, for example that the network does not beat the baseline.
    """

    inputs: Inputs
    ids: StrArray
    rows: IntArray
    values: FloatArray
    base_value: FloatArray
    predictions: FloatArray
    completeness: FloatArray
    method: str
    hypothetical: FloatArray | None = None
    deltas: FloatArray | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def kind(self) -> str:
        """``sequence`` or ``genotype``."""
        return self.inputs.kind

    @property
    def contributions(self) -> FloatArray:
        """Contribution of each position or variant, phenotype units, shape (n, width)."""
        return self.values.sum(axis=2) if self.kind == "sequence" else self.values

    def feature_names(self) -> list[str]:
        """Return ``1`` to ``length`` for sequences, variant ids for genotypes."""
        if self.kind == "genotype" and self.inputs.variants is not None:
            return [str(name) for name in self.inputs.variants["id"]]
        return [str(position + 1) for position in range(self.inputs.width)]

    def letters(self) -> StrArray:
        """Return the bases as IUPAC letters, ``-`` for padding, shape (n, length); sequences only."""
        letters: StrArray = _LETTERS[self.inputs.values]
        return letters

    def to_shap(self) -> shap.Explanation:
        """Return a ``shap.Explanation`` of shape (n, width), so that every ``shap.plots`` function works.

        Its data are base letters or dosages; its feature names are positions (1-based) or variant ids.
        """
        with warnings.catch_warnings():  # shap 0.51 makes colour maps in a way matplotlib 3.11 will drop
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            import shap

        return shap.Explanation(
            values=np.asarray(self.contributions, dtype=np.float64),
            base_values=np.asarray(self.base_value, dtype=np.float64),
            data=self.letters() if self.kind == "sequence" else self.inputs.values,
            feature_names=self.feature_names(),
        )

    def plot(self, *, samples: int = 6) -> Figure:
        """Return a figure: logos of the `samples` highest predictions, or the importance of each variant.

        Sequences are drawn as letters whose height is the contribution of that base to the prediction. `warnings`
        stand above the figure.
        """
        from automl_pheno.explain.plot import contribution_logos, importance_by_variant, warn_above

        if self.kind == "genotype":
            return warn_above(importance_by_variant(self), self.warnings)
        top = np.argsort(-self.predictions)[:samples]
        figure = contribution_logos(self.values[top], titles=[self._title(int(row)) for row in top])
        return warn_above(figure, self.warnings)

    def _title(self, row: int) -> str:
        return f"{self.ids[row]}: predicted {self.predictions[row]:.3g}"


def at_bases(contributions: FloatArray, inputs: Inputs) -> FloatArray:
    """Return the contribution of each position at the channel of its base, shape (n, length, 4).

    Parameters
    ----------
    contributions
        Shape (n, length).
    inputs
        Sequences, n of them.
    """
    share = one_hot(inputs.values).astype(np.float64)
    share[inputs.values == PADDING] = 0.25
    return np.asarray(contributions[:, :, None] * share)
