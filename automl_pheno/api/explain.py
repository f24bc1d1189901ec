"""Explain the winner of a run, or any other of its finalists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl_pheno.api.best import Best
from automl_pheno.api.run import EXPLANATION, Run, load
from automl_pheno.data import Samples
from automl_pheno.data.dataset import Examples
from automl_pheno.errors import StudyError, UnknownNameError, known_names
from automl_pheno.rng import generator
from automl_pheno.simulate import Truth
from automl_pheno.splits import read_split
from automl_pheno.study.run_folder import SPLIT

if TYPE_CHECKING:
    from automl_pheno.explain import Attribution
    from automl_pheno.explain.parts import Counterpart

TRUTH = "truth.json"
WINNER = "winner"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """An explanation that was written.

    Attributes
    ----------
    name
        Of the finalist on the leaderboard.
    folder, files
        Where.
    n
        Samples explained.
    method
        Used, after any fallback.
    verdict
        Whether the best network beats the best baseline, in a sentence.
    notes
        What was noticed.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    n: int
    method: str
    verdict: str
    notes: tuple[str, ...]


def explain_run(
    run: Run | str | Path,
    *,
    method: str = "auto",
    source: str | Path | None = None,
    targets: Sequence[str] = (WINNER,),
    parts: Sequence[str] = ("all",),
    samples: int = 500,
    refits: int = 3,
    seed: int = 0,
    hear: Callable[[str], None] | None = None,
) -> tuple[Explained, ...]:
    """Explain finalists of a run and write each explanation into a folder of the run.

    The winner's goes into ``explain/``, from which the report is made; that of another finalist into
    ``explain_NAME/``, and that of samples of a file into ``explain_FILE/``.

    Parameters
    ----------
    method
        Name in ``EXPLAINERS``, or ``auto``.
    source
        File with the samples to explain; None takes development samples. The sealed test set is left alone.
    targets
        What is explained: ``winner``, or names of finalists on the leaderboard.
    parts
        Names in ``PARTS``, ``all`` for all but those on request; an empty sequence leaves only the contributions.
    samples
        At most this many.
    refits
        Trainings for the parts that need more of them (stability of a single network, decoys); 0 leaves them out.
    seed
        Of the drawn samples and references.
    hear
        Told what is being done.

    Raises
    ------
    AutoMLPhenoError
        The run has no winner yet, or the method or the samples do not suit it; nothing is written.
    """
    from automl_pheno.explain import EXPLAINERS
    from automl_pheno.explain.parts import check_parts

    opened = run if isinstance(run, Run) else Run(Path(run))
    if method != "auto" and method not in EXPLAINERS:
        raise UnknownNameError(EXPLAINERS.kind, method, [*EXPLAINERS, "auto"])
    check_parts(parts)
    opened.best  # noqa: B018 - raises where there is nothing to explain
    entries = [_finalist(opened, name) for name in dict.fromkeys(targets)]
    given = [None if source is None else _open(opened, entry).samples(source) for entry in entries]
    done = []
    for entry, asked in zip(entries, given, strict=True):
        suffix = "" if asked is None or source is None else f"_{Path(source).name.split('.')[0]}"
        folder = opened.path / f"{EXPLANATION}{'' if _wins(opened, entry) else '_' + _safe(entry['name'])}{suffix}"
        job = _Job(run=opened, entry=entry, method=method, samples=samples, refits=refits, seed=seed, hear=hear)
        done.append(_explain(job, asked, folder, parts))
    return tuple(done)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    run: Run
    entry: dict[str, Any]
    method: str
    samples: int
    refits: int
    seed: int
    hear: Callable[[str], None] | None


def _explain(job: _Job, given: Samples | None, folder: Path, parts: Sequence[str]) -> Explained:
    from automl_pheno.explain import write_explanation
    from automl_pheno.explain.parts import PartRequest, run_parts
    from automl_pheno.explain.scoring import score_function

    best = _open(job.run, job.entry)
    attribution = best.explain(given, method=job.method, samples=job.samples, seed=job.seed)
    development = best.development
    split = read_split(job.run.path / SPLIT)
    request = PartRequest(
        predictor=best.predictor,
        score=score_function(best.predictor),
        attribution=attribution,
        training=Examples(
            inputs=development.inputs, y=development.y(best.trait), groups=split.group[split.development]
        ),
        ids=development.ids,
        columns=development.columns,
        rng=generator(job.seed, "explain"),
        fresh=_fresh(job.run, job.entry),
        refits=job.refits,
        counterpart=_counterpart(job.run, job.entry),
    )
    found = run_parts(request, parts, seed=job.seed, hear=job.hear)
    columns = development.columns if given is None else given.columns
    recovered = _recovery(job.run, attribution) if given is None else None
    verdict = job.run.verdict
    files = write_explanation(
        attribution,
        folder,
        verdict=verdict,
        seed=job.seed,
        parts=found,
        columns=None if columns is None else columns.iloc[attribution.rows],
        extra={"explained": job.entry["name"]} | ({} if recovered is None else {"recovery": recovered}),
    )
    notes = [*attribution.warnings, *(() if given is None else given.notes), *found.notes]
    if recovered is not None:
        notes.append(f"planted motifs: importance finds their positions with AUROC {recovered['auroc']:.3f}")
    return Explained(
        name=job.entry["name"],
        folder=folder,
        files=tuple(files),
        n=len(attribution),
        method=attribution.method,
        verdict=verdict,
        notes=tuple(notes),
    )


def _finalist(run: Run, name: str) -> dict[str, Any]:
    """Return the entry of ``final.json`` that a word on the command line names.

    Raises
    ------
    StudyError
        There is no such finalist, or it could not be refitted.
    """
    final = run.final
    known = {str(entry["name"]): entry for entry in final["finalists"] if entry.get("folder")}
    wanted = str(final["winner"]["name"]) if name == WINNER else name
    if wanted not in known:
        msg = f"{run.path}: {name!r} is no finalist that was fitted; {known_names(name, [WINNER, *known])}"
        raise StudyError(msg)
    return dict(known[wanted])


def _wins(run: Run, entry: dict[str, Any]) -> bool:
    return bool(entry["name"] == run.final["winner"]["name"])


def _open(run: Run, entry: dict[str, Any]) -> Best:
    return run.best if _wins(run, entry) else load(run.path / entry["folder"])


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)


def _fresh(run: Run, entry: dict[str, Any]) -> Callable[[], Any]:
    """Return what makes an unfitted predictor like this finalist: one network of as many epochs, or the baseline."""
    from automl_pheno.predictors.storage import make_predictor

    epochs = entry["epochs"] if entry["kind"] == "network" else None
    return partial(make_predictor, entry["candidate"], str(run.final["metric"]), epochs)


def _counterpart(run: Run, entry: dict[str, Any]) -> Counterpart | None:
    """Return the best finalist of the other kind, by validation."""
    from automl_pheno.explain.parts import Counterpart

    for other in run.final["finalists"]:  # best first
        if other["kind"] != entry["kind"] and other.get("folder"):
            return Counterpart(name=other["name"], predictor=load(run.path / other["folder"]).predictor)
    return None


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
