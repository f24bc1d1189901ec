"""The supervisor against synthetic trials in this process."""

from __future__ import annotations

import numpy as np
import optuna
import pytest

from automl_pheno.errors import InfeasibleError, OutputError, StudyError
from automl_pheno.space.load import parse_space
from automl_pheno.study import proposals
from automl_pheno.study.engines import EngineRequest, Steps, make_engine, make_pruner
from automl_pheno.study.progress import Silent
from automl_pheno.study.records import COUNTED
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
    filters: {values: [4, 8, 16]}
    kernel_size: {min: 3, max: 9, step: 2}
  - block: flatten
fit:
  learning_rate: {min: 1.0e-4, max: 1.0e-1, log: true}
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


class Case:
    """A run folder with a study, started as often as wanted."""

    def __init__(self, path, space=SPACE, **plan):
        self.path = path
        self.space = parse_space(space)
        self.plan = {"trials": 6, "check": lambda config: 1, **plan}
        self.starts = 0

    def start(self, executor=None, pruner="none", engine="random", progress=None, **plan):
        self.starts += 1
        fields = {**self.plan, **plan}
        common = {"function": fields.pop("function", "study_trials:by_filters"), **fields.pop("common", {})}
        self.folder = RunFolder(self.path, metric="pearson_r", parameters=("trunk.0.filters",))
        self.engine = make_engine(
            engine,
            EngineRequest(
                space=self.space, seed=self.starts, slots=1, folder=self.path, higher_is_better=True, max_epochs=10,
                trials=fields["trials"],
            ),
        )  # fmt: skip
        self.study = open_study(
            self.path / JOURNAL,
            "toy",
            "maximize",
            sampler=self.engine.sampler,
            pruner=make_pruner(pruner, Steps(last=10, folds=False, slots=1)),
        )
        whole = Plan(space=self.space, metric="pearson_r", higher_is_better=True, seed=3, common=common, **fields)
        self.supervisor = Supervisor(whole, self.engine, self.book(), executor or InProcess(), progress or Silent())
        return self.supervisor.run()

    def book(self):
        return TrialBook(self.study, self.folder, name=self.space.name, higher_is_better=True)

    @property
    def networks(self):
        return [record for record in self.folder.records() if record.kind == "network"]

    @property
    def counted(self):
        return [record for record in self.networks if record.state in COUNTED]

    def states(self):
        return [trial.state.name for trial in self.study.get_trials(deepcopy=False)]


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path)


def test_runs_exactly_the_trials_asked_for_and_the_default_first(case):
    assert case.start() == "finished"
    assert len(case.counted) == 6
    assert case.networks[0].params["trunk.0.filters"] in (4, 8)
    assert case.networks[0].params["trunk.0.kernel_size"] == 5 or case.networks[0].params["trunk.0.kernel_size"] == 7
    assert [trial.state.name for trial in case.study.get_trials()].count("COMPLETE") == 6


def test_resume_adds_only_what_is_missing(case):
    case.start(trials=3)
    assert case.start(trials=5) == "finished"
    assert len(case.counted) == 5
    assert case.start(trials=5) == "finished"
    assert len(case.counted) == 5
    keys = [str(sorted(record.params.items())) for record in case.networks]
    assert len(set(keys)) == 5


def test_baselines_run_first_and_once(case):
    case.start(trials=1, baselines=("mean", "ridge"))
    assert [record.name for record in case.folder.records()][:2] == ["mean", "ridge"]
    case.start(trials=2, baselines=("mean", "ridge"))
    assert sum(record.kind == "baseline" for record in case.folder.records()) == 2


def test_no_configuration_is_trained_twice_and_a_small_space_ends(tmp_path):
    case = Case(tmp_path, SMALL)
    assert case.start(trials=10, engine="tpe") == "exhausted"
    keys = {tuple(sorted(record.params.items())) for record in case.networks}
    assert len(case.counted) == len(keys) == 4


def test_pruning_follows_the_reports(case):
    class Always(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step == 2 and trial.number > 0

    case.start(trials=1)
    case.study.pruner = Always()
    supervisor = Supervisor(
        Plan(
            space=case.space, check=lambda config: 1, metric="pearson_r", higher_is_better=True, trials=4, seed=3,
            common={"function": "study_trials:by_filters"},
        ),
        case.engine, case.book(), InProcess(), Silent(),
    )  # fmt: skip
    assert supervisor.run() == "finished"
    pruned = [record for record in case.networks if record.state == "pruned"]
    assert len(pruned) == 3
    assert {record.epochs for record in pruned} == {2}
    assert pruned[0].reason == "pruned at step 2"
    assert pruned[0].value == pytest.approx(case.study.get_trials()[pruned[0].trial].intermediate_values[2])
    assert case.states().count("PRUNED") == 3


def test_infeasible_configurations_are_recorded_and_not_counted(case):
    def check(config):
        if config.trunk[0].filters == 16:
            msg = "too wide"
            raise InfeasibleError(msg)
        return 1

    case.start(trials=8, check=check)
    infeasible = [record for record in case.networks if record.state == "infeasible"]
    assert len(case.counted) == 8
    assert infeasible
    assert all(record.reason == "too wide" for record in infeasible)
    assert all(record.params["trunk.0.filters"] == 16 for record in infeasible)
    trial = case.study.get_trials()[infeasible[0].trial]
    assert trial.constraints["feasible"] > 0


def test_max_weights_is_a_reason(case):
    case.start(trials=3, check=lambda config: config.trunk[0].filters * 100, max_weights=900)
    for record in case.networks:
        wide = record.params["trunk.0.filters"] == 16
        assert (record.state == "infeasible") == wide
        assert record.reason == ("1600 weights, max_weights is 900" if wide else "")


def test_a_space_without_a_feasible_configuration_ends_with_the_reason(case, monkeypatch):
    monkeypatch.setattr(proposals, "MAX_INFEASIBLE", 20)

    def check(config):
        msg = "kernel longer than the sequence"
        raise InfeasibleError(msg)

    with pytest.raises(StudyError, match=r"20 configurations in a row.*kernel longer"):
        case.start(check=check)


def test_five_failures_in_a_row_abort_with_the_last_traceback(case):
    with pytest.raises(StudyError, match=r"5 trials failed in a row.*ZeroDivisionError(.|\n)*Traceback"):
        case.start(trials=9, function="study_trials:broken")
    assert [record.state for record in case.counted] == ["failed"] * 5
    assert case.states().count("RUNNING") == 0


def test_failures_apart_do_not_abort_and_count(case):
    assert case.start(trials=12, function="study_trials:sometimes_broken") == "finished"
    assert {record.state for record in case.counted} == {"complete", "failed"}
    assert len(case.counted) == 12


def test_nan_fails_with_its_reason(case):
    case.start(trials=1, function="study_trials:not_a_number")
    assert case.counted[0].state == "failed"
    assert case.counted[0].reason == "pearson_r is not a number"


def test_time_limit_stops_running_trials_and_asks_no_more(case):
    ending = case.start(trials=50, time_limit=0.3, function="study_trials:slow", common={"sleep": 0.1})
    assert ending == "time limit"
    assert case.counted[-1].state == "pruned"
    assert case.counted[-1].reason == "time limit"
    assert len(case.counted) < 5
    assert case.states().count("RUNNING") == 0


def test_trial_timeout_prunes_the_slow_trial(case):
    case.start(trials=1, trial_timeout=0.15, function="study_trials:slow", common={"sleep": 0.1})
    assert case.counted[0].state == "pruned"
    assert "trial_timeout" in case.counted[0].reason


def test_ctrl_c_puts_the_trial_back_and_resume_trains_it(case):
    assert case.start(trials=3, function="study_trials:interrupt_second") == "interrupted"
    done = [record.params for record in case.counted]
    waiting = [trial for trial in case.study.get_trials() if trial.state.name == "WAITING"]
    assert len(waiting) == 1
    assert case.states().count("RUNNING") == 0
    put_back = waiting[0].system_attrs
    assert case.start(trials=3) == "finished"
    assert len(case.counted) == 3
    again = case.counted[len(done)]
    assert dict(again.params) == put_back["fixed_params"]
    assert again.retries == tuple(put_back["retry_history"]) == (put_back["failed_trial"],)


def test_second_ctrl_c_ends_at_once_and_the_zombie_is_reaped(case):
    with pytest.raises(KeyboardInterrupt):
        case.start(trials=3, function="study_trials:interrupt_twice")
    assert case.states().count("RUNNING") == 1
    zombie = next(trial for trial in case.study.get_trials() if trial.state.name == "RUNNING")
    assert case.start(trials=3) == "finished"
    assert case.states().count("RUNNING") == 0
    assert len(case.counted) == 3
    assert zombie.params in [dict(record.params) for record in case.counted]


def test_a_zombie_with_a_record_is_told_and_not_trained_again(case):
    case.start(trials=2)
    line = (case.path / "trials.jsonl").read_text().splitlines()[-1]
    study = case.study
    trial = study.ask()
    for name, distribution in study.get_trials()[0].distributions.items():
        trial._suggest(name, distribution)
    record = line.replace('"trial": 1', f'"trial": {trial.number}').replace("toy-1", f"toy-{trial.number}")
    with (case.path / "trials.jsonl").open("a") as file:
        file.write(record + "\n")
    assert case.start(trials=3) == "finished"
    assert len(case.counted) == 3
    told = case.study.get_trials()[trial.number]
    assert told.state.name == "COMPLETE"
    assert told.value == case.counted[-1].value


def test_a_configuration_that_killed_two_processes_is_given_up(case):
    with pytest.raises(KeyboardInterrupt):
        case.start(trials=2, function="study_trials:interrupt_twice_always", in_process=True)
    case.start(trials=1, function="study_trials:by_filters", in_process=True)
    assert [record.state for record in case.counted] == ["complete"]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            case.start(trials=2, function="study_trials:interrupt_twice_always", in_process=True)
    case.start(trials=2, in_process=True)
    assert [record.state for record in case.counted] == ["complete", "failed"]
    assert case.counted[-1].reason.startswith("killed 2 workers")


@pytest.mark.parametrize(
    ("engine", "pruner"),
    [
        ("optuna/tpe", "median"), ("random", "percentile"), ("qmc", "patient"), ("optuna", "asha"),
        ("tpe", "hyperband"), ("optuna/random", "none"),
    ],
)  # fmt: skip
def test_every_engine_and_pruner_runs(case, engine, pruner):
    assert case.start(trials=3, engine=engine, pruner=pruner) == "finished"
    assert len(case.counted) == 3


def test_wilcoxon_gets_the_value_of_each_fold(case):
    case.start(trials=1, function="study_trials:folds", values_of_folds=True)
    values = case.study.get_trials()[0].intermediate_values
    assert [values[step] for step in (1, 2, 3)] == pytest.approx([0.1, 0.5, 0.3])


def test_an_error_of_the_metric_is_minimized(case):
    case.start(trials=2)
    study = open_study(case.path / "other.log", "other", "minimize")
    plan = Plan(
        space=case.space, check=lambda config: 1, metric="rmse", higher_is_better=False, trials=5, seed=3,
        common={"function": "study_trials:by_filters"},
    )  # fmt: skip
    (case.path / "other").mkdir()
    folder = RunFolder(case.path / "other", metric="rmse", parameters=())
    book = TrialBook(study, folder, name="toy", higher_is_better=False)
    Supervisor(plan, case.engine, book, InProcess(), Silent()).run()
    ranked = folder.leaderboard()
    assert ranked["val_rmse"].is_monotonic_increasing
    assert ranked["rank"].tolist() == [1, 2, 3, 4, 5]
    assert study.best_value == pytest.approx(np.min(ranked["val_rmse"]))


def test_held_out_predictions_are_kept_of_what_is_complete(case):
    case.start(trials=8, baselines=("ridge",), function="study_trials:with_predictions", pruner="median")
    kept = {path.stem: np.load(path) for path in (case.path / "out_of_fold").iterdir()}
    complete = [record for record in case.folder.records() if record.state == "complete"]
    assert set(kept) == {record.name for record in complete}
    assert len(case.counted) == 8
    for record in complete:
        filters = 0.0 if record.kind == "baseline" else record.candidate["config"]["trunk"][0]["filters"]
        np.testing.assert_array_equal(kept[record.name], [filters, np.nan, 1.0])
        assert record.validation_calibration == {"slope": 1.5}


def test_predictions_without_a_record_are_harmless_and_written_anew(case):
    (case.path / "out_of_fold").mkdir()
    left = case.path / "out_of_fold" / "toy-0.npy"  # by a process that was killed before it wrote the record
    left.write_bytes(b"torn")
    case.start(trials=2, function="study_trials:with_predictions")
    assert np.load(left).shape == (3,)


def test_predictions_that_cannot_be_written_end_the_search_before_their_record(case):
    (case.path / "out_of_fold").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be written"):
        case.start(trials=2, function="study_trials:with_predictions")
    assert case.networks == []
    (case.path / "out_of_fold").unlink()
    assert case.start(trials=2, function="study_trials:with_predictions") == "finished"
    assert len(case.counted) == 2
