"""Explain the winner of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from automl_pheno.api.run import EXPLANATION, Run
from automl_pheno.errors import UnknownNameError
from automl_pheno.simulate import Truth
from automl_pheno.splits import read_split
from automl_pheno.study.run_folder import SPLIT

if TYPE_CHECKING:
    from automl_pheno.explain import Attribution

TRUTH = "truth.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An explanation that was written.

    Attributes
    ----------
    folder, files
        Where.
    n
        Samples explained.
    method
        Used, after any fallback.
    verdict
        Whether the explained model beats the baselines, in a sentence.
    notes
        What was noticed.
    """

    folder: Path
    files: tuple[Path, ...]
    n: int
    method: str
    verdict: str
    notes: tuple[str, ...]


def explain_run(
    run: Run | str | Path, *, method: str = "auto", source: str | Path | None = None, samples: int = 200, seed: int = 0
) -> Explained:
    """Explain the winner of a run and write the explanation into its ``explain/`` folder.

    Parameters
    ----------
    method
        Name in ``EXPLAINERS``, or ``auto``.
    source
        File with the samples to explain; None takes development samples. The sealed test set is left alone.
    samples
        At most this many.
    seed
        Of the drawn samples and references.

    Raises
    ------
    AutoMLPhenoError
        The run has no winner yet, or the method or the samples do not suit it; nothing is written.
    """
    from automl_pheno.explain import EXPLAINERS, write_explanation

    opened = run if isinstance(run, Run) else Run(Path(run))
    if method != "auto" and method not in EXPLAINERS:
        raise UnknownNameError(EXPLAINERS.kind, method, [*EXPLAINERS, "auto"])
    best, verdict = opened.best, opened.verdict
    given = None if source is None else best.samples(source)
    attribution = best.explain(source if given is None else given, method=method, samples=samples, seed=seed)
    folder = opened.path / EXPLANATION
    found = _recovery(opened, attribution) if given is None else None
    extra = None if found is None else {"recovery": found}
    files = write_explanation(attribution, folder, verdict=verdict, seed=seed, extra=extra)
    notes = () if given is None else given.notes
    if found is not None:
        notes = (*notes, f"planted motifs: importance finds their positions with AUROC {found['auroc']:.3f}")
    return Explained(
        folder=folder,
        files=tuple(files),
        n=len(attribution),
        method=attribution.method,
        verdict=verdict,
        notes=notes,
    )


def _recovery(run: Run, attribution: Attribution) -> dict[str, float] | None:
    """Return how well the importance finds the motifs that the simulation planted; None for any other data."""
    from automl_pheno.explain import recovery

    if not (run.path / TRUTH).is_file():
        return None
    truth = Truth.load(run.path)
    if truth.planted is None:
        return None
    rows = read_split(run.path / SPLIT).development[attribution.rows]
    return recovery(attribution, truth.planted_positions(attribution.inputs.width)[rows])
