"""Samplers, pruners and limits against synthetic trials; what they decide, not only that they run."""

from __future__ import annotations

import importlib.util

import optuna
import pytest

from automl_pheno.errors import StudyError, UnknownNameError
from automl_pheno.space.load import parse_space
from automl_pheno.study.engines import PRUNERS, EngineRequest, Steps, make_engine, make_pruner
from automl_pheno.study.engines.optuna import SAMPLERS, make_sampler
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import Silent
from automl_pheno.study.slots.executor import InProcess
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.supervisor import Supervisor

SPACE = """
schema: 1
name: toy
trunk:
  - block: gate
    repeat: {min: 0, max: 1}
  - block: conv
    filters: {min: 1, max: 64}
    kernel_size: {min: 3, max: 31, step: 2}
  - block: flatten
fit:
  learning_rate: {min: 1.0e-4, max: 1.0e-1, log: true}
  gate_l1: {min: 0.03, max: 3.0, log: true, when: {trunk.0.repeat: 1}}
"""
MIB = 2**20


class Memory(list):
    def records(self):
        return self

    def keep_up(self, *, now):
        pass


def search(tmp_path, engine, trials=20, seed=0, **plan):
    space = parse_space(SPACE)
    request = EngineRequest(
        space=space, seed=seed, slots=1, folder=tmp_path, higher_is_better=True, max_epochs=3, trials=trials
    )
    made = make_engine(engine, request)
    study = optuna.create_study(direction="maximize", sampler=made.sampler, pruner=optuna.pruners.NopPruner())
    records = Memory()
    whole = Plan(
        space=space, check=lambda config: 1, metric="r2", higher_is_better=True, trials=trials, seed=seed,
        common={"function": "study_trials:by_size"}, **plan,
    )  # fmt: skip
    book = TrialBook(study, records, name="toy", higher_is_better=True)
    assert Supervisor(whole, made, book, InProcess(), Silent()).run() == "finished"
    return study, records


def memory(config):
    return conv(config).filters * MIB


def conv(config):
    return next(block for block in config.trunk if block.block == "conv")


def test_a_training_that_needs_too_much_memory_is_infeasible_by_its_excess(tmp_path):
    study, records = search(tmp_path, "random", trials=8, memory=memory, max_memory=40 * MIB)
    infeasible = [record for record in records if record.state == "infeasible"]
    assert infeasible
    assert sum(record.state == "complete" for record in records) == 8
    trials = study.get_trials()
    for record in records:
        filters = record.params["trunk.1.filters"]
        assert (record.state == "infeasible") == (filters > 40)
        constraint = trials[record.trial].constraints["feasible"]
        assert constraint == (pytest.approx(filters / 40 - 1) if filters > 40 else -1.0)
    assert infeasible[0].reason == (
        f"training needs about {infeasible[0].params['trunk.1.filters']}.0 MiB, max_memory is 40.0 MiB"
    )


def test_no_limit_asks_for_no_estimate(tmp_path):
    def fail(config):
        raise AssertionError

    _, records = search(tmp_path, "random", trials=3, memory=fail)
    assert [record.state for record in records] == ["complete"] * 3


@pytest.mark.slow
def test_tpe_learns_from_the_excess_to_stay_within_the_limit(tmp_path):
    """The value rises with the filters, so that only the constraint holds the search back."""

    def refused(engine):
        _, records = search(tmp_path, engine, trials=15, seed=1, memory=memory, max_memory=16 * MIB)
        return sum(record.state == "infeasible" for record in records)

    # at random three of four are refused: about 45 for 15 trials
    assert refused("tpe") < 0.6 * refused("random")


@pytest.mark.parametrize(
    "name", [name if name in ("tpe", "random") else pytest.param(name, marks=pytest.mark.slow) for name in SAMPLERS]
)
def test_every_sampler_finds_more_than_it_began_with(tmp_path, name):
    package = {"gp": "torch", "cmaes": "cmaes"}.get(name)
    if package is not None and importlib.util.find_spec(package) is None:
        with pytest.raises(StudyError, match=f"optuna/{name} needs the package '{package}'"):
            make_sampler(name, seed=0, slots=1)
        return
    study, records = search(tmp_path, name, trials=13)
    values = [record.value for record in records]
    assert max(values) > values[0]
    assert len({tuple(sorted(record.params.items())) for record in records}) == len(records)
    assert study.best_value == max(values)


def test_unknown_names_are_guessed():
    with pytest.raises(UnknownNameError, match="did you mean 'tpe-group'"):
        make_sampler("tpe-grup", seed=0, slots=1)
    with pytest.raises(UnknownNameError, match="did you mean 'hyperband'"):
        make_pruner("hyperbnd", Steps(last=60, folds=False, slots=1))


def played(name, steps, curves):
    """Run trials with these curves one after the other; return the step at which each was given up, or None."""
    study = optuna.create_study(direction="maximize", pruner=make_pruner(name, steps))
    stops = []
    for curve in curves:
        trial, stop = study.ask(), None
        for step, value in enumerate(curve, 1):
            trial.report(value, step)
            if trial.should_prune():
                stop = step
                break
        if stop is None:
            study.tell(trial, curve[-1])
        else:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        stops.append(stop)
    return stops


def rising(final, steps=60):
    return [final * step / steps for step in range(1, steps + 1)]


@pytest.mark.parametrize("name", sorted(set(PRUNERS) - {"none", "wilcoxon", "hyperband"}))
def test_pruners_give_up_the_hopeless_and_never_the_best(name):
    curves = [rising(final) for final in (0.5, 0.6, 0.4, 0.55, 0.45, 0.5, 0.52, 0.48, 0.51, 0.49)]
    stops = played(name, Steps(last=60, folds=False, slots=1), [*curves, rising(0.9), [0.01] * 60])
    assert stops[0] is None
    assert stops[-2] is None
    assert 2 <= stops[-1] <= 30
    assert all(stop is None or stop <= 40 for stop in stops)  # nothing that is nearly done is thrown away


@pytest.mark.parametrize("last", [2, 5, 20, 60, 100, 300])
@pytest.mark.parametrize("name", ["asha", "hyperband"])
def test_no_rung_lies_near_the_end(name, last):
    curves = [rising(final / 40, last) for final in range(40, 0, -1)]  # ever worse, so that every rung is used
    stops = [stop for stop in played(name, Steps(last=last, folds=False, slots=4), curves) if stop is not None]
    assert stops
    assert max(stops) <= max(1, 0.67 * last)


def test_no_pruner_gives_up_nothing():
    curves = [rising(0.9)] * 20 + [rising(0.01)]
    assert played("none", Steps(last=60, folds=False, slots=1), curves) == [None] * 21


def test_wilcoxon_gives_up_what_is_worse_in_fold_after_fold():
    steps = Steps(last=10, folds=True, slots=1)
    base = [0.5, 0.6, 0.4, 0.55, 0.45, 0.5, 0.6, 0.4, 0.55, 0.45]
    worse = [value - 0.1 - 0.001 * fold for fold, value in enumerate(base)]
    stops = played("wilcoxon", steps, [base, worse, [value + 0.1 for value in base]])
    assert stops[0] is None
    assert 2 < stops[1] < 10
    assert stops[2] is None
    with pytest.raises(StudyError, match="K folds"):
        make_pruner("wilcoxon", Steps(last=60, folds=False, slots=1))
