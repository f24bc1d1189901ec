"""A whole run: data, split, search, final test. Running it again resumes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from automl_pheno.data import Dataset
from automl_pheno.errors import StudyError
from automl_pheno.files import writing
from automl_pheno.metrics import METRICS
from automl_pheno.progress import listening
from automl_pheno.rng import derive_seed
from automl_pheno.space.load import load_space
from automl_pheno.space.sample import default_values, sample
from automl_pheno.space.size import network_size, training_memory
from automl_pheno.space.suggest import from_values
from automl_pheno.space.tree import SearchSpace, parameters
from automl_pheno.study.baselines import default_baselines
from automl_pheno.study.config import StudyConfig
from automl_pheno.study.continuation import remove_weights
from automl_pheno.study.dashboard import name_metric, write_note
from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
from automl_pheno.study.final import FinalPlan, test_once
from automl_pheno.study.material import Material, identity_of, prepare, write_inputs
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import Progress, Silent
from automl_pheno.study.run_folder import (
    FINAL,
    JOURNAL,
    LOGS,
    RunFolder,
    check_identity,
    lock_run,
)
from automl_pheno.study.sharing import is_tested, keep_journal, refuse_tested_elsewhere, share, shared_book
from automl_pheno.study.slots.executor import Executor, InProcess
from automl_pheno.study.slots.machine import Machine, count_slots, read_machine, slot_notes
from automl_pheno.study.slots.worker import EVALUATE
from automl_pheno.study.start_up import refuse_other_backend
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.journal import Direction, open_study
from automl_pheno.study.storage.opening import Shared, refuse_another
from automl_pheno.study.supervisor import Supervisor


def run_search(
    config: StudyConfig,
    out: Path,
    progress: Progress | None = None,
    *,
    dataset: Dataset | None = None,
    trait: str | None = None,
) -> Path:
    """Run, or resume, a study in the folder `out` and return the folder.

    Without ``final.json`` in it afterwards the search was interrupted by Ctrl-C; the same call resumes it. A run that
    is finished is returned as it is.

    Parameters
    ----------
    config
        The study.
    out
        Folder of the run; made if need be.
    progress
        Hears what happens.
    dataset, trait
        Instead of ``config.data``; the trait is needed only where there are several.

    Raises
    ------
    AutoMLPhenoError
        The space, the data, the split or the folder cannot be used as asked; a new run's folder is then not made.
    KeyboardInterrupt
        Ctrl-C was pressed twice; the same call resumes the run.
    """
    hear = progress if progress is not None else Silent()
    path = Path(out).resolve()
    with listening(hear.step):
        space = load_space(config.space)
        # Before anything is written: an engine may need a package, or not suit the study.
        make_engine(config.engine, _engine_request(config, space, path, slots=1, records=0))
        material = prepare(config, space, path, hear, dataset, trait)
    if config.workers == 0 and config.trials and not (path / FINAL).exists():
        refuse_other_backend(config.backend)
    slots = _slots_here(config, hear)
    if config.storage is not None:
        refuse_another(config.storage, config.name, identity_of(config, material))
    with lock_run(path):
        new = check_identity(path, identity_of(config, material))
        if (path / FINAL).exists():
            _refuse_more(path, config, material, hear)
            return path
        refuse_tested_elsewhere(config, path)
        hear.message(f"{path}: a new run" if new else f"{path}: resuming")
        digest = write_inputs(path, config, material, slots)
        folder = RunFolder(
            path, metric=config.metric, parameters=[parameter.name for parameter in parameters(material.space)]
        )
        shared = share(config, path, identity_of(config, material), hear)
        with shared or contextlib.nullcontext():
            if shared is not None and is_tested(shared, folder, config, material.space.name, hear):
                return path
            with _executor(config, path, slots, hear) as executor, writing(path):
                _search(config, material, folder, executor, hear, digest, shared)
            if shared is not None:
                keep_journal(shared.study(), path)
    return path


def _refuse_more(path: Path, config: StudyConfig, material: Material, progress: Progress) -> None:
    """Accept the same search again, as it is done; refuse one that asks for more of a run that was tested."""
    folder = RunFolder(path, metric=config.metric, parameters=[p.name for p in parameters(material.space)])
    counted = sum(record.kind == "network" and record.state != "infeasible" for record in folder.records())
    asked = folder.final.get("trials", config.trials)
    if config.trials > max(counted, asked):
        msg = (
            f"{path}: trials {config.trials} asks for more than the {asked} of this run, but its test set was opened "
            f"({FINAL}): a choice made after seeing the test score would not be honest; use another --out"
        )
        raise StudyError(msg)
    progress.message(f"{path}: this run is finished; use another --out for a new one")


def _slots_here(config: StudyConfig, progress: Progress) -> tuple[int, Machine] | None:
    """Return the number of slots of this machine; None where trials run in this process or elsewhere."""
    if config.scheduler is not None or config.cluster is not None or config.workers == 0:
        return None
    machine = read_machine()
    for note in slot_notes(machine, config.slots_per_gpu):
        progress.message(note)
    return count_slots(config.workers, machine, config.slots_per_gpu), machine


@contextlib.contextmanager
def _executor(
    config: StudyConfig, path: Path, local: tuple[int, Machine] | None, progress: Progress
) -> Iterator[Executor]:
    if config.scheduler is not None:
        from automl_pheno.study.slots.dask_executor import remote_executor

        with remote_executor(config.scheduler, path, config.backend, path / LOGS, progress.message) as executor:
            yield executor
    elif config.cluster is not None:
        from automl_pheno.study.slots.dask_executor import job_executor

        with job_executor(config.cluster, path, config.backend, path / LOGS, progress.message) as executor:
            yield executor
    elif local is None:
        yield InProcess()
    else:
        from automl_pheno.study.slots.dask_executor import local_executor

        slots, machine = local
        with local_executor(slots, machine, config.backend, path / LOGS, config.slots_per_gpu) as executor:
            yield executor


def _search(
    config: StudyConfig,
    material: Material,
    folder: RunFolder,
    executor: Executor,
    progress: Progress,
    digest: str,
    shared: Shared | None,
) -> None:
    metric = METRICS[config.metric]
    split, space, width = material.split, material.space, material.dataset.inputs.width
    folds = split.is_cross_validation
    common = {
        "run": str(folder.path),
        "data": digest,
        "trait": material.trait,
        "backend": config.backend,
    }
    last = split.n_folds if folds else _max_epochs(space)
    slots = executor.slots
    request = _engine_request(config, space, folder.path, slots=slots, records=len(folder.records()))
    if shared is not None:
        request = replace(request, seed=derive_seed(request.seed, "supervisor", shared.ordinal))
    engine = make_engine(config.engine, request)
    for note in engine.notes:
        progress.message(note)
    pruner = make_pruner(config.pruner, Steps(last=last, folds=folds, slots=slots))
    book: TrialBook
    if shared is None:
        direction: Direction = "maximize" if metric.higher_is_better else "minimize"
        study = open_study(folder.path / JOURNAL, config.name, direction, sampler=engine.sampler, pruner=pruner)
        book = TrialBook(study, folder, name=space.name, higher_is_better=metric.higher_is_better)
    else:
        study = shared.study(sampler=engine.sampler, pruner=pruner)
        book = shared_book(shared, study, folder, name=space.name, higher_is_better=metric.higher_is_better)
    name_metric(study, config.metric)
    baselines = config.baselines
    plan = Plan(
        space=space,
        check=lambda model: network_size(model, width).weights,
        metric=config.metric,
        higher_is_better=metric.higher_is_better,
        trials=config.trials,
        seed=config.seed,
        common={**common, "function": EVALUATE},
        baselines=default_baselines(len(split.development)) if baselines is None else baselines,
        curation=config.curation.model_dump(mode="json") if config.curation.changes_something else {},
        time_limit=config.time_limit,
        trial_timeout=config.trial_timeout,
        max_weights=config.max_weights,
        memory=lambda model: training_memory(model, network_size(model, width)),
        max_memory=config.max_memory,
        values_of_folds=config.pruner == "wilcoxon",
        in_process=isinstance(executor, InProcess),
        then=config.networks_tested,
    )
    folder.write_leaderboard()
    ending = Supervisor(plan, engine, book, executor, progress).run()
    if ending == "interrupted":
        write_note(study, folder.path)
        progress.message(f"interrupted; run the same command again to resume ({folder.path})")
        return
    if ending == "time limit":
        progress.message("the time limit is reached")
    final = FinalPlan(
        metric=config.metric,
        networks=config.networks_tested,
        baselines=config.baselines_tested,
        members=config.members,
        seed=config.seed,
        trait=material.trait,
        trials=config.trials,
        common=common,
        default=default_values(space),
        choice=config.choice,
    )
    result = test_once(final, folder, executor, progress, book, ending=ending)
    if result is None:
        return
    remove_weights(folder.path)
    write_note(study, folder.path)
    progress.message(f"winner by validation: {result['winner']['name']}")
    if result["choice"] is not None:
        progress.message(str(result["choice"]["sentence"]))
    if result["tie_note"]:
        progress.message(str(result["tie_note"]))
    if result["comparison"] is not None:
        progress.message(str(result["comparison"]["sentence"]))


def _engine_request(
    config: StudyConfig, space: SearchSpace, folder: Path, *, slots: int, records: int
) -> EngineRequest:
    return EngineRequest(
        space=space,
        # The records so far go into the seed: a sampler that began anew would propose its first trials again.
        seed=derive_seed(config.seed, "sampler", records),
        slots=slots,
        folder=folder,
        higher_is_better=METRICS[config.metric].higher_is_better,
        max_epochs=_max_epochs(space),
        trials=config.trials,
        backend=config.backend,
    )


def _max_epochs(space: SearchSpace) -> int:
    """Return ``max_epochs`` of the hand-made configuration, for the warm-up of pruners."""
    return sample(space, from_values(default_values(space))).fit.max_epochs
