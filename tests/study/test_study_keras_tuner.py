"""KerasTuner's oracles as engines, against synthetic trials in this process."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from automl_pheno.errors import InfeasibleError, StudyError
from automl_pheno.space.load import parse_space
from automl_pheno.study.config import make_study
from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
from automl_pheno.study.engines.keras_tuner import brackets, hyperband_notes
from automl_pheno.study.final import choose_finalists
from automl_pheno.study.progress import Silent
from automl_pheno.study.records import COUNTED, TrialRecord
from automl_pheno.study.run_folder import JOURNAL, RunFolder
from automl_pheno.study.slots.executor import InProcess
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.journal import open_study
from automl_pheno.study.supervisor import Plan, Supervisor

SPACE = """
schema: 1
name: toy
trunk:
  - block: conv
    repeat: {min: 1, max: 2}
    per_layer: [kernel_size]
    filters: {values: [4, 8, 16]}
    kernel_size: {min: 3, max: 9, step: 2}
  - block: flatten
fit:
  learning_rate: {min: 1.0e-4, max: 1.0e-1, log: true}
  optimizer: {values: [adam, sgd]}
  momentum: {min: 0.0, max: 0.3, step: 0.1, when: {fit.optimizer: sgd}}
"""
SMALL = """
schema: 1
name: small
trunk:
  - block: conv
    filters: {values: [4, 8]}
    kernel_size: {values: [3, 5]}
  - block: flatten
"""
KINDS = ("random", "bayesian", "hyperband", "grid")


class Case:
    def __init__(self, path, space=SPACE):
        self.path = path
        self.space = parse_space(space)

    def request(self, **changes):
        fields = {
            "space": self.space, "seed": 1, "slots": 1, "folder": self.path, "higher_is_better": True, "max_epochs": 9,
            "trials": 30, **changes,
        }  # fmt: skip
        return EngineRequest(**fields)

    def start(
        self, kind, trials, function="by_filters", *, higher=True, check=lambda config: 1, pruner="none", broken=None
    ):
        metric = "pearson_r" if higher else "rmse"
        self.folder = RunFolder(self.path, metric=metric, parameters=("trunk.0.filters",))
        seed = len(self.folder.records()) + 1
        self.engine = make_engine(kind, self.request(seed=seed, higher_is_better=higher))
        self.study = open_study(
            self.path / JOURNAL, "toy", "maximize" if higher else "minimize", sampler=self.engine.sampler,
            pruner=make_pruner(pruner, Steps(last=3, folds=False, slots=1)),
        )  # fmt: skip
        if broken is not None:
            broken(self.engine)
        plan = Plan(
            space=self.space, check=check, metric=metric, higher_is_better=higher, trials=trials, seed=5,
            common={"function": f"study_trials:{function}"},
        )  # fmt: skip
        book = TrialBook(self.study, self.folder, name=self.space.name, higher_is_better=higher)
        return Supervisor(plan, self.engine, book, InProcess(), Silent()).run()

    @property
    def counted(self):
        return [record for record in self.folder.records() if record.state in COUNTED]

    @property
    def oracle(self):
        return self.engine._mirror.oracle

    def rebuilt(self, kind):
        """Return the oracle that a start would make now."""
        from automl_pheno.study.engines.oracles import mirror

        return mirror(kind, self.request(), self.study).oracle


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


# -- without KerasTuner ----------------------------------------------------------------------------------------------


def test_hyperband_has_no_pruner_and_says_so():
    assert make_study(space="x.yaml", name="x", engine="keras-tuner/hyperband").pruner == "none"
    assert make_study(space="x.yaml", name="x", engine="keras-tuner/random").pruner != "none"
    for pruner in ("median", "wilcoxon"):
        with pytest.raises(StudyError, match=f"shares out the epochs itself, so pruner {pruner}"):
            make_study(
                space="x.yaml", name="x", engine="keras-tuner/hyperband", pruner=pruner, split={"method": "kfold"}
            )
    assert any("no pruner" in note for note in hyperband_notes(60, 100))
    assert "trials: 30 end within the first bracket" in hyperband_notes(60, 30)[1]


def test_an_engine_is_made_without_importing_keras_tuner(case):
    import subprocess
    import sys

    code = (
        "import sys\nfrom automl_pheno.study.engines import ENGINES\n"
        "import automl_pheno.study.engines.keras_tuner\n"
        "print([m for m in ('keras_tuner', 'keras', 'tensorflow') if m in sys.modules], 'keras-tuner/grid' in ENGINES)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


def test_finalists_are_not_one_network_at_several_budgets():
    def record(number, value, params, budget):
        return TrialRecord(
            kind="network",
            name=f"toy-{number}",
            state="complete",
            trial=number,
            value=value,
            params=params,
            budget=budget,
        )

    records = [record(0, 0.5, {"a": 1}, 3), record(1, 0.7, {"a": 1}, 9), record(2, 0.6, {"a": 2}, 3)]
    assert [r.name for r in choose_finalists(records, metric="pearson_r", networks=2)] == ["toy-1", "toy-2"]


# -- with it ---------------------------------------------------------------------------------------------------------


def outline(oracle, kind):
    """What decides how an oracle goes on."""
    found = {
        "trials": {
            identity: (trial.status, trial.score, trial.hyperparameters.values)
            for identity, trial in oracle.trials.items()
        },
        "ongoing": sorted(trial.trial_id for trial in oracle.ongoing_trials.values()),
        "tried": oracle._tried_so_far,
    }
    if kind == "hyperband":
        oracle._remove_completed_brackets()
        found["brackets"] = oracle._brackets, oracle._current_bracket, oracle._current_iteration
        for _, _, values in found["trials"].values():
            values.pop("tuner/bracket")  # KerasTuner notes the newest bracket, whichever the trial is of
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_study_ends_with_its_trials_and_a_leaderboard_and_can_be_taken_up_anywhere(case, kind):
    engine = f"keras-tuner/{kind}"
    for trials in (1, 9, 12, 16):
        assert case.start(engine, trials) == "finished"
        assert len(case.counted) == trials
        assert outline(case.rebuilt(kind), kind) == outline(case.oracle, kind)
    assert {"rank", "trial", "val_pearson_r", "trunk.0.filters"} <= set(case.folder.leaderboard())
    states = [trial.state.name for trial in case.study.get_trials()]
    assert states.count("COMPLETE") == 16
    assert "RUNNING" not in states
    assert "WAITING" not in states
    keys = Counter(json.dumps([dict(record.params), record.budget], sort_keys=True) for record in case.counted)
    assert max(keys.values()) == 1
    files = case.path / "keras_tuner"
    assert len(list(files.glob("trial_*/trial.json"))) == len(case.oracle.trials)
    if kind == "hyperband":
        rounds = Counter((r.budget, r.state) for r in case.counted)
        assert rounds[(1, "complete")] == 9  # the first bracket of 9 epochs is 9, 3 and 1 trials
        assert rounds[(3, "complete")] >= 3
        chained = [t for t in case.study.get_trials() if "continues" in t.user_attrs]
        for trial in chained:
            parent = case.study.get_trials()[trial.user_attrs["continues"]]
            assert parent.params == trial.params
            assert parent.user_attrs["budget"] == trial.user_attrs["initial_epoch"]


@pytest.mark.slow
def test_brackets_are_those_of_keras_tuner():
    import keras_tuner

    for epochs in (1, 2, 3, 8, 9, 10, 27, 60, 100):
        oracle = keras_tuner.oracles.HyperbandOracle(max_epochs=epochs, factor=3)
        numbers = range(oracle._get_num_brackets() - 1, -1, -1)
        expected = [[(oracle._get_size(n, r), oracle._get_epochs(n, r)) for r in range(n + 1)] for n in numbers]
        assert brackets(epochs) == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_in_mid_trial_loses_nothing(case, kind):
    engine = f"keras-tuner/{kind}"
    case.start(engine, 3)
    with pytest.raises(KeyboardInterrupt):
        case.start(engine, 6, function="interrupt_twice_always")
    (running,) = [trial for trial in case.study.get_trials() if trial.state.name == "RUNNING"]
    (case.path / "keras_tuner" / "oracle.json").write_text('{"start_or')  # and the file is torn
    assert case.start(engine, 6) == "finished"
    assert len(case.counted) == 6
    again = next(record for record in case.counted if record.retries == (running.number,))
    assert dict(again.params) == running.params
    repeat = case.study.get_trials()[again.trial]
    for key in ("oracle_trial", "budget", "round"):
        assert repeat.user_attrs.get(key) == running.user_attrs.get(key)
    assert not case.oracle.ongoing_trials


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "hyperband"])
def test_failures_and_infeasible_ones_are_told_and_do_not_stop_the_oracle(case, kind):
    def check(config):
        if config.trunk[0].filters == 4:
            msg = "too small"
            raise InfeasibleError(msg)
        return 1

    case.start(f"keras-tuner/{kind}", 12, function="sometimes_broken", check=check)
    states = Counter(record.state for record in case.folder.records())
    assert states["failed"] >= 4
    assert states["infeasible"] >= 1
    ids = {t.user_attrs.get("oracle_trial"): t for t in case.study.get_trials()}
    for identity, trial in case.oracle.trials.items():
        if identity in ids:
            assert trial.status == ("COMPLETED" if ids[identity].state.name == "COMPLETE" else "FAILED")
    if kind == "hyperband":  # others took their places
        completed = [info["id"] for info in case.oracle._brackets[0]["rounds"][0]]
        assert all(case.oracle.trials[identity].status == "COMPLETED" for identity in completed)


@pytest.mark.slow
def test_errors_are_minimized_and_hyperband_goes_on_with_the_best(case):
    assert case.start("keras-tuner/hyperband", 14, higher=False) == "finished"
    assert case.oracle.objective.direction == "min"
    first = sorted((r for r in case.counted if r.budget == 1), key=lambda r: r.value)
    second = [r for r in case.counted if r.budget == 3]
    assert dict(second[0].params) == dict(first[0].params)


@pytest.mark.slow
def test_a_pruned_trial_is_told_with_its_last_value(case):
    case.start("keras-tuner/random", 30, pruner="asha")
    pruned = [r for r in case.counted if r.state == "pruned"]
    assert pruned
    scores = {r.trial: r.value for r in pruned}
    for trial in case.study.get_trials():
        if trial.number in scores and "oracle_trial" in trial.user_attrs:
            assert case.oracle.trials[trial.user_attrs["oracle_trial"]].score == scores[trial.number]


@pytest.mark.slow
def test_a_small_grid_is_tried_whole(tmp_path):
    case = Case(tmp_path, SMALL)
    assert case.start("keras-tuner/grid", 10) == "exhausted"
    tried = {(r.params["trunk.0.filters"], r.params["trunk.0.kernel_size"]) for r in case.counted}
    assert tried == {(4, 3), (4, 5), (8, 3), (8, 5)}
    assert len(case.counted) == 4


@pytest.mark.slow
def test_an_oracle_that_raises_is_made_anew_and_one_that_always_does_is_an_error(case):
    case.start("keras-tuner/random", 3)
    failures = iter([True, False])

    def once(engine):
        engine.restore(case.study)
        create = engine._mirror.oracle.create_trial

        def raising(slot):
            if next(failures, False):
                msg = "lost"
                raise KeyError(msg)
            return create(slot)

        engine._mirror.oracle.create_trial = raising
        engine.restore = lambda study: None

    assert case.start("keras-tuner/random", 5, broken=once) == "finished"
    assert next(failures) is False  # the second call went to another oracle

    def always(engine):
        engine.restore(case.study)
        engine._kind, engine.restore = "nothing", lambda study: None
        engine._mirror.oracle.create_trial = None

    with pytest.raises(StudyError, match="KerasTuner failed"):
        case.start("keras-tuner/random", 7, broken=always)
