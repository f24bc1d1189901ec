"""``search``: find, test and explain the best model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from automl_pheno.cli.options import (
    DataFile,
    Extrapolation,
    Folds,
    Genome,
    GenotypeField,
    GroupBy,
    IdColumn,
    Multiallelic,
    Regime,
    Seed,
    SequenceColumn,
    StudyFile,
    Trait,
    TraitTable,
)


def search(
    study: StudyFile = None,
    space: Annotated[Path | None, typer.Option("--space", help="Search space (YAML).", show_default=False)] = None,
    data: DataFile = None,
    trait: Trait = None,
    trait_table: TraitTable = None,
    sequence_column: SequenceColumn = None,
    id_column: IdColumn = None,
    genome: Genome = None,
    multiallelic: Multiallelic = None,
    genotype_field: GenotypeField = None,
    group_by: GroupBy = None,
    regime: Regime = None,
    extrapolation: Extrapolation = None,
    leakage: Annotated[
        str | None,
        typer.Option(
            "--leakage", metavar="stop|report", help="When the audit of the split finds a leak.", show_default=False
        ),
    ] = None,
    folds: Folds = None,
    metric: Annotated[
        str | None, typer.Option("--metric", help="pearson_r, spearman, r2, rmse or mae.", show_default=False)
    ] = None,
    trials: Annotated[int | None, typer.Option("--trials", help="Networks to try.", show_default=False)] = None,
    time_limit: Annotated[
        str | None, typer.Option("--time-limit", help="Of the search: 90s, 30m, 2h.", show_default=False)
    ] = None,
    workers: Annotated[
        str | None, typer.Option("--workers", metavar="auto|N", help="Trials at a time.", show_default=False)
    ] = None,
    slots_per_gpu: Annotated[
        int | None, typer.Option("--slots-per-gpu", help="Trials at a time on one GPU.", show_default=False)
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Address of a Dask scheduler.", show_default=False)
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option("--storage", help="Database that several searches share: postgresql://…", show_default=False),
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="What proposes networks, e.g. optuna/tpe.", show_default=False)
    ] = None,
    pruner: Annotated[
        str | None, typer.Option("--pruner", help="What gives up hopeless trials, e.g. median.", show_default=False)
    ] = None,
    baselines: Annotated[
        str | None, typer.Option("--baselines", help="all, none, or names: ridge,gblup.", show_default=False)
    ] = None,
    finalists: Annotated[
        int | None,
        typer.Option(
            "--finalists",
            help="Refit and test the N best networks and the N best baselines; default: 3 networks, all baselines.",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[str | None, typer.Option("--backend", help="tensorflow or jax.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run; default: studies/NAME.", show_default=False)
    ] = None,
    seed: Seed = None,
    explain: Annotated[bool, typer.Option("--explain/--no-explain", help="Explain the winner.")] = True,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Serve the dashboard on 127.0.0.1 while the search runs.")
    ] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the dashboard; 0 takes a free one.")] = 8080,
) -> None:
    """Search networks and compare them with baselines.

    The same command again resumes. Without --data it uses simulated sequences with planted motifs.
    """
    from automl_pheno.api.plan import plan_search, run_plan
    from automl_pheno.cli.tables import print_outcome

    plan = plan_search(
        study=study,
        space=space,
        data=data,
        trait=trait,
        trait_table=trait_table,
        sequence_column=sequence_column,
        id_column=id_column,
        genome=genome,
        multiallelic=multiallelic,
        genotype_field=genotype_field,
        groups=group_by,
        regime=regime,
        extrapolation=extrapolation,
        leakage=leakage,
        folds=folds,
        out=out,
        seed=seed,
        metric=metric,
        trials=trials,
        time_limit=time_limit,
        workers=int(workers) if workers is not None and workers.isdecimal() else workers,
        slots_per_gpu=slots_per_gpu,
        scheduler=scheduler,
        storage=storage,
        engine=engine,
        pruner=pruner,
        baselines=None if baselines is None else baselines.split(","),
        finalists=finalists,
        backend=backend,
    )
    for note in plan.notes:
        print(note)
    print_outcome(run_plan(plan, explain=explain, dashboard=port if dashboard else None))
