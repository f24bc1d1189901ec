"""Single-variant association that holds among relatives: what genetics would say without the predictor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_pheno.data.dataset import Examples, FloatArray
from automl_pheno.explain.references import draw_rows
from automl_pheno.explain.registry import ExplainError
from automl_pheno.predictors.design import Design
from automl_pheno.predictors.shrinkage import Spectrum, decompose_design, reml_penalty

MOST_SAMPLES = 3000
"""Samples of the mixed model; more only where there are no more variants than this."""

_CELLS = 8_000_000
_MEDIAN_CHI2 = 0.454936423119572


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Association:
    """One regression a variant, shape (n_variants,) each; nan where the variant does not vary.

    Attributes
    ----------
    beta, se
        Change of the trait for each alternate allele and its standard error, phenotype units.
    p, minus_log10_p
        Two-sided, of Student's t with n - 2 degrees of freedom; the latter also where p is 0 in double precision.
    maf
        Frequency of the minor allele, 0 to 0.5.
    inflation
        Genomic inflation lambda: median chi-squared over its expectation without any effect; 1 is right where few
        variants have one.
    inflation_unadjusted
        Of the regression without regard to relatives.
    heritability
        Of the mixed model, 0 to 1; nan where it could not be fitted.
    model
        In words.
    samples
        Used.
    """

    beta: FloatArray
    se: FloatArray
    p: FloatArray
    minus_log10_p: FloatArray
    maf: FloatArray
    inflation: float
    inflation_unadjusted: float
    heritability: float
    model: str
    samples: int


def associate(examples: Examples, *, rng: np.random.Generator, most: int = MOST_SAMPLES) -> Association:
    """Regress the trait on each variant by itself, relatives accounted for.

    Mixed model ``y = mu + x b + u + e`` with ``u ~ N(0, s2u G)``, G = Z Z' over all variants; the ratio of the
    variances by restricted likelihood without x, then generalised least squares with that ratio and a scale of its own
    for each variant (EMMAX, Kang et al. 2010; P3D, Zhang et al. 2010). A missing call is the mean. The tested variant
    is in G too, which costs power, the more the fewer variants there are; the inflation is below 1 then.

    Parameters
    ----------
    examples
        Genotypes and trait; weights are not used.
    rng
        Draws `most` samples where both samples and variants are more.

    Raises
    ------
    ExplainError
        Sequences, or fewer than 3 samples.
    """
    if examples.inputs.kind != "genotype" or len(examples) < 3:
        got = f"{len(examples)} samples of kind {examples.inputs.kind}"
        msg = f"association needs genotypes of at least 3 samples, got {got}"
        raise ExplainError(msg)
    if min(len(examples), examples.inputs.width) > most:
        examples = examples.take(draw_rows(len(examples), most, rng))
    columns, mean = filled(examples.inputs.values)
    design = Design(columns=columns, mean=mean)
    spectrum = decompose_design(design)
    penalty, _ = reml_penalty(spectrum, examples.y)
    y = examples.y - examples.y.mean()
    plain = _regress(design, y, None, np.inf)
    n, frequency = len(y), mean / 2.0
    adjusted = np.isfinite(penalty)
    beta, se, dof = _regress(design, y, spectrum, penalty) if adjusted else plain
    p, size = _significance(beta, se, dof)
    return Association(
        beta=beta,
        se=se,
        p=p,
        minus_log10_p=size,
        maf=np.minimum(frequency, 1.0 - frequency),
        inflation=_inflation(p),
        inflation_unadjusted=_inflation(_significance(*plain)[0]),
        heritability=spectrum.unit / (spectrum.unit + penalty) if adjusted else float("nan"),
        model="mixed model with the genomic relationship of the samples (EMMAX)" if adjusted else "linear regression",
        samples=n,
    )


def filled(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return dosages with missing calls at the mean of their variant, float32, and the means; 0 without any call."""
    columns = np.array(values, dtype=np.float32)
    missing = np.isnan(columns)
    columns[missing] = 0.0
    mean = columns.sum(axis=0, dtype=np.float64) / np.maximum((~missing).sum(axis=0), 1)
    rows, where = np.nonzero(missing)
    columns[rows, where] = mean[where]
    return columns, mean


def _regress(
    design: Design, y: FloatArray, spectrum: Spectrum | None, penalty: float
) -> tuple[FloatArray, FloatArray, int]:
    """Return slopes, standard errors and degrees of freedom of y, shape (n,), mean 0, on each column.

    In the space of contrasts the covariance of y is ``vectors (values + penalty) vectors' + penalty (I - ...)``.
    """
    n, p = len(y), design.p
    xx, xy = np.zeros(p), np.zeros(p)
    outside = 1.0 if spectrum is None else 1.0 / penalty
    yy = float(y @ y) * outside
    gain = None if spectrum is None else 1.0 / (spectrum.values + penalty) - outside
    rotated = None if spectrum is None else spectrum.vectors.T @ y
    if gain is not None and rotated is not None:
        yy += float((gain * rotated**2).sum())
    for part, block in design.column_blocks():
        xx[part] = outside * np.einsum("ij,ij->j", block, block)
        xy[part] = outside * (y @ block)
        if spectrum is not None and gain is not None and rotated is not None:
            turned = spectrum.vectors.T @ block
            xx[part] += gain @ turned**2
            xy[part] += (gain * rotated) @ turned
    varies = xx > 1e-9 * max(float(xx.max(initial=0.0)), 1e-300)
    safe = np.where(varies, xx, 1.0)
    beta = xy / safe
    rest = np.maximum(yy - xy**2 / safe, 0.0) / (n - 2)
    se = np.sqrt(rest / safe)
    return np.where(varies, beta, np.nan), np.where(varies, se, np.nan), n - 2


def _significance(beta: FloatArray, se: FloatArray, dof: int) -> tuple[FloatArray, FloatArray]:
    """Return p-values and their -log10."""
    from scipy.stats import t

    with np.errstate(divide="ignore", invalid="ignore"):  # a perfect fit has p = 0, 0 / 0 says nothing
        log_p = np.minimum(np.log(2.0) + t.logsf(np.abs(beta / se), dof), 0.0)
    return np.exp(log_p), -log_p / np.log(10.0) + 0.0


def _inflation(p: FloatArray) -> float:
    from scipy.stats import chi2

    tested = p[np.isfinite(p)]
    return float(np.median(chi2.isf(tested, 1)) / _MEDIAN_CHI2) if len(tested) else float("nan")
