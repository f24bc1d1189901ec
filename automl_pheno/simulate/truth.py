"""What a simulation knows and real data never tell."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import Dataset, FloatArray, IntArray
from automl_pheno.errors import DataError
from automl_pheno.metrics import METRICS
from automl_pheno.registry import Registry

FORMAT = 1
Parameter = int | float | str | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Causal:
    """A position or variant that changes the trait by itself.

    Attributes
    ----------
    position
        0-based column of ``Inputs.values``.
    name
        ``position_17``, or the id of the variant.
    effects
        Sequences: one effect for each base A, C, G, T. Genotypes: (additive per alternate allele, dominance
        deviation of the heterozygote). Phenotype units.
    """

    position: int
    name: str
    effects: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An epistatic term.

    Attributes
    ----------
    kind
        ``product`` (of the members' effects, of centred dosages, or of motifs' presence), or ``ratio``
        (first over second member).
    members
        Positions in the sequence, columns of the variant table, or numbers of the motifs.
    coefficient
        Multiplies the product or ratio.
    """

    kind: str
    members: tuple[int, ...]
    coefficient: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Motif:
    """A planted motif.

    Attributes
    ----------
    name
        One letter.
    consensus
        Most probable base at each position.
    probabilities
        PWM: one row a position, columns A, C, G, T.
    effect
        On the trait when planted on the forward strand, phenotype units.
    reverse_factor
        Share of the effect that is left on the reverse strand.
    """

    name: str
    consensus: str
    probabilities: tuple[tuple[float, ...], ...]
    effect: float
    reverse_factor: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth:
    """How a simulated trait came about.

    Attributes
    ----------
    kind, seed, parameters
        Which simulator, and everything it was given: they make the same data again.
    ceiling_r2
        R² of the noise-free genetic value against the phenotype: no predictor can do better but by luck.
    genetic
        The noise-free value of each sample, phenotype units, float64, shape (n,).
    causal, terms, motifs
        What makes the genetic value; see each class.
    planted
        ``motifs`` only, else None. int64, shape (n, n_motifs, 2): first base (0-based, -1 where the motif is
        absent) and strand (1 forward, -1 reverse, 0 absent).
    """

    kind: str
    seed: int
    parameters: Mapping[str, Parameter]
    ceiling_r2: float
    genetic: FloatArray
    causal: tuple[Causal, ...] = ()
    terms: tuple[Term, ...] = ()
    motifs: tuple[Motif, ...] = ()
    planted: IntArray | None = field(default=None)

    @property
    def ceiling_r(self) -> float:
        """Pearson r that belongs to `ceiling_r2`."""
        return float(np.sqrt(max(self.ceiling_r2, 0.0)))

    def planted_positions(self, width: int) -> npt.NDArray[np.bool_]:
        """Return which positions of each sequence a planted motif makes matter, shape (n, width).

        Positions where any base will do, and motifs on a strand on which they have no effect, do not count.

        Raises
        ------
        DataError
            This truth has no planted motifs.
        """
        if self.planted is None:
            msg = f"a truth of kind {self.kind!r} has no planted motifs"
            raise DataError(msg)
        mask = np.zeros((len(self.planted), width), dtype=bool)
        for number, motif in enumerate(self.motifs):
            start, strand = self.planted[:, number, 0], self.planted[:, number, 1]
            matters = np.asarray(motif.probabilities).max(axis=1) > 0.5
            for direction, places in ((1, matters), (-1, matters[::-1])):
                rows = np.flatnonzero(strand == direction)
                if direction < 0 and motif.reverse_factor == 0.0:
                    continue
                columns = start[rows][:, None] + np.flatnonzero(places)
                mask[rows[:, None], columns] = True
        return mask

    def to_json(self) -> dict[str, Any]:
        """Return all but the arrays as JSON values."""
        return {
            "format": FORMAT,
            "kind": self.kind,
            "seed": self.seed,
            "parameters": dict(self.parameters),
            "ceiling_r2": self.ceiling_r2,
            "ceiling_r": self.ceiling_r,
            "causal": [dataclasses.asdict(item) for item in self.causal],
            "terms": [dataclasses.asdict(item) for item in self.terms],
            "motifs": [dataclasses.asdict(item) for item in self.motifs],
        }

    def save(self, folder: Path) -> None:
        """Write ``truth.json`` and ``truth.npz`` (genetic, planted) into the existing `folder`."""
        arrays: dict[str, npt.NDArray[Any]] = {"genetic": self.genetic}
        if self.planted is not None:
            arrays["planted"] = self.planted
        np.savez_compressed(folder / "truth.npz", **arrays)  # type: ignore[arg-type]  # stub mixes up allow_pickle
        (folder / "truth.json").write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Truth:
        """Return what `save` wrote. Raises DataError where it is missing or of another format."""
        try:
            text = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
            with np.load(folder / "truth.npz", allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        except (OSError, ValueError) as error:
            msg = f"{folder}: no readable truth.json and truth.npz ({error})"
            raise DataError(msg) from error
        if not isinstance(text, dict) or text.get("format") != FORMAT:
            msg = f"{folder / 'truth.json'}: format must be {FORMAT}"
            raise DataError(msg)
        return cls(
            kind=text["kind"],
            seed=text["seed"],
            parameters=text["parameters"],
            ceiling_r2=text["ceiling_r2"],
            genetic=arrays["genetic"],
            causal=tuple(Causal(**(item | {"effects": tuple(item["effects"])})) for item in text["causal"]),
            terms=tuple(Term(**(item | {"members": tuple(item["members"])})) for item in text["terms"]),
            motifs=tuple(
                Motif(**(item | {"probabilities": tuple(tuple(row) for row in item["probabilities"])}))
                for item in text["motifs"]
            ),
            planted=arrays.get("planted"),
        )


def ceiling(phenotype: FloatArray, genetic: FloatArray) -> float:
    """Return R² of the noise-free value against the phenotype, both shape (n,)."""
    return METRICS["r2"].function(phenotype, genetic)


def at_least(lowest: float, **values: float) -> None:
    """Raise DataError for the first value below `lowest` or not finite."""
    for name, value in values.items():
        if not lowest <= value < float("inf"):
            msg = f"simulate: {name} must be >= {lowest:g}, got {value}"
            raise DataError(msg)


def at_most(highest: float, **values: float) -> None:
    """Raise DataError for the first value above `highest`."""
    for name, value in values.items():
        if not value <= highest:
            msg = f"simulate: {name} must be <= {highest:g}, got {value}"
            raise DataError(msg)


Simulator = Callable[..., tuple[Dataset, Truth]]

SIMULATORS: Registry[Simulator] = Registry("simulator")
"""Every simulator: called with keywords only, ``seed`` among them; all have defaults."""
