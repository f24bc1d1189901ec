"""The journal as a search writes it: read by plain Optuna, few writes, rewritten without a difference; and the view."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import LEADERBOARD, LEADERBOARD_EVERY, TRIALS, RunFolder
from automl_pheno.study.storage import backend as module
from automl_pheno.study.storage import index, view
from automl_pheno.study.storage.backend import FewWrites, RunJournal, open_journal
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.journal import open_study
from automl_pheno.study.storage.view import Outlook, choose

SPACE = {
    "x": FloatDistribution(1e-5, 1e-1, log=True),
    "n": IntDistribution(1, 64, step=3),
    "kind": CategoricalDistribution(["relu", 3, None, True]),
    "p": FloatDistribution(0.0, 1.0),
}


def plain(path):
    """Open the journal as any other program does."""
    return optuna.load_study(study_name="toy", storage=JournalStorage(JournalFileBackend(str(path))))


def facts(trial):
    """Return all that is known of a trial."""
    return (
        trial.number, trial._trial_id, trial.state, trial.values, trial.params, trial.distributions, trial.user_attrs,
        trial.system_attrs, trial.intermediate_values, trial.datetime_start, trial.datetime_complete,
    )  # fmt: skip


def fill(study, trials, *, sampler=None):
    """Add trials in every state."""
    study.sampler = sampler or optuna.samplers.RandomSampler(seed=1)
    study.set_user_attr("who", {"a": [1, None]})
    study.enqueue_trial({"x": 0.01, "n": 4})
    for number in range(trials):
        trial = study.ask(SPACE if number % 3 else {"x": SPACE["x"]})
        for step in range(1, 4):
            trial.report(float(number) if (number, step) != (2, 3) else float("nan"), step)
        trial.set_user_attr("outcome", "complete")
        trial.set_constraint("feasible", -1.0)
        state = ("COMPLETE", "PRUNED", "FAIL", "RUNNING")[number % 4 if number % 20 == 3 else number % 3]
        if state != "RUNNING":
            study.tell(trial, number * 0.1 if state == "COMPLETE" else None, state=TrialState[state])
    study.enqueue_trial({"x": 0.02})


def test_plain_optuna_reads_what_was_written_and_hears_of_what_it_writes(tmp_path):
    path = tmp_path / "journal.log"
    study = open_study(path, "toy", "maximize")
    fill(study, 30)
    study._storage.flush()
    other = plain(path)
    ours, theirs = study.get_trials(deepcopy=False), other.get_trials(deepcopy=False)
    assert [str(facts(trial)) for trial in ours] == [str(facts(trial)) for trial in theirs]
    assert {trial.state.name for trial in ours} == {"COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"}
    running = next(trial for trial in ours if trial.state == TrialState.RUNNING)
    other.set_user_attr("note", "written by the dashboard")
    other._storage.set_trial_user_attr(running._trial_id, "seen", 1)
    study._storage.set_trial_user_attr(running._trial_id, "mine", 2)  # waits, so it comes after what came meanwhile
    added = study.ask(SPACE)
    assert study.user_attrs["note"] == "written by the dashboard"
    assert study.get_trials()[running.number].user_attrs == {"outcome": "complete", "seen": 1, "mine": 2}
    assert facts(plain(path).get_trials()[added.number])[:4] == facts(study.get_trials()[added.number])[:4]
    assert plain(path).get_trials()[running.number].user_attrs == study.get_trials()[running.number].user_attrs


def test_foreign_trials_get_the_same_numbers_in_both(tmp_path):
    path = tmp_path / "journal.log"
    study = open_study(path, "toy", "maximize")
    other = plain(path)
    for _ in range(3):
        study.ask(SPACE)
        other.ask(SPACE)
    study._storage.flush()
    time.sleep(module.LOOK_EVERY * 1.2)
    ours = [str(facts(trial)) for trial in study.get_trials()]
    assert ours == [str(facts(trial)) for trial in plain(path).get_trials()]
    assert len(ours) == 6


def test_reports_are_written_together_and_at_the_latest_with_the_end_of_their_trial(tmp_path):
    path = tmp_path / "journal.log"
    study = open_study(path, "toy", "maximize")
    trial = study.ask(SPACE)
    before = path.stat().st_size
    for step in range(1, 50):
        trial.report(0.5, step)
    assert path.stat().st_size == before
    assert study.get_trials()[0].intermediate_values[49] == 0.5
    study.tell(trial, 0.5)
    assert len(plain(path).get_trials()[0].intermediate_values) == 49
    assert plain(path).get_trials()[0].params == trial.params


def test_a_killed_process_leaves_every_trial_that_it_made(tmp_path):
    path = tmp_path / "journal.log"
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from automl_pheno.study.storage.journal import open_study\n"
        "study = open_study(Path(sys.argv[1]), 'toy', 'maximize')\n"
        "for number in range(5):\n"
        "    trial = study.ask()\n"
        "    trial.suggest_float('x', 0, 1)\n"
        "    if number < 3:\n"
        "        study.tell(trial, 1.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    trials = open_study(path, "toy", "maximize").get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3 + ["RUNNING"] * 2
    assert all("x" in trial.params for trial in trials[:4])


def test_a_full_disk_leaves_whole_lines_and_what_waits_goes_on_waiting(tmp_path, monkeypatch):
    path = tmp_path / "journal.log"
    study = open_study(path, "toy", "maximize")
    trial = study.ask(SPACE)
    trial.report(0.25, 1)
    before = path.read_bytes()
    written = []

    class Full:
        def __init__(self, file):
            self._file = file

        def __getattr__(self, name):
            return getattr(self._file, name)

        def __enter__(self):
            return self

        def __exit__(self, *what):
            self._file.close()

        def write(self, content):
            if written:
                raise OSError(errno.ENOSPC, "No space left on device")
            written.append(self._file.write(content[:7]))
            return 7

    real = type(path).open
    with monkeypatch.context() as patch:
        patch.setattr(
            type(path), "open", lambda self, mode="r", *rest, **more: (
                Full(real(self, mode, *rest, **more)) if mode == "ab" else real(self, mode, *rest, **more)
            ),
        )  # fmt: skip
        with pytest.raises(OSError, match="No space left"):
            study._storage.flush()
    assert written == [7]
    assert path.read_bytes() == before
    study._storage.flush()
    assert plain(path).get_trials()[0].intermediate_values == {1: 0.25}


def test_the_line_that_a_killed_dashboard_left_is_cut_off_before_anything_follows_it(tmp_path):
    path = tmp_path / "journal.log"
    study = open_study(path, "toy", "maximize")
    with path.open("a") as file:
        file.write('{"op_code":2,"worker_id":"x","study')
    study.tell(study.ask(SPACE), 1.0)
    assert [trial.state.name for trial in plain(path).get_trials()] == ["COMPLETE"]


def test_a_rewritten_journal_says_the_same(tmp_path, monkeypatch):
    path = tmp_path / "journal.log"
    study = open_study(path, "toy", "maximize")
    fill(study, 60, sampler=optuna.samplers.TPESampler(seed=2, n_startup_trials=10))
    study._storage.flush()
    before = [str(facts(trial)) for trial in plain(path).get_trials()]
    lines = path.read_bytes().count(b"\n")
    attributes = plain(path).user_attrs
    assert open_study(path, "toy", "maximize")._storage.operations > lines  # too short to be worth it
    monkeypatch.setattr(module, "COMPACT_FROM", 100)
    monkeypatch.setattr(module, "replacing", _fail)
    content = path.read_bytes()
    with pytest.raises(RuntimeError):
        open_journal(path)
    assert path.read_bytes() == content
    monkeypatch.undo()
    monkeypatch.setattr(module, "COMPACT_FROM", 100)
    study = open_study(path, "toy", "maximize")
    assert path.read_bytes().count(b"\n") < lines / 4
    assert [str(facts(trial)) for trial in plain(path).get_trials()] == before
    assert [str(facts(trial)) for trial in study.get_trials()] == before
    assert plain(path).user_attrs == study.user_attrs == attributes
    study.tell(study.ask(), 1.0)
    assert [str(facts(trial)) for trial in plain(path).get_trials()] == [
        str(facts(trial)) for trial in study.get_trials()
    ]


def _fail(path):
    raise RuntimeError(path)


def test_a_damaged_line_is_an_error(tmp_path):
    path = tmp_path / "journal.log"
    open_study(path, "toy", "maximize")
    with path.open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(ValueError, match="Expecting value"):
        RunJournal(FewWrites(path))


# -- what samplers see ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_what_is_at_hand_is_what_is_chosen_of_all(tmp_path, monkeypatch, direction):
    for place in (view, index):
        monkeypatch.setattr(place, "FIRST", 2)
        monkeypatch.setattr(place, "BEST", 5)
        monkeypatch.setattr(place, "LATEST", 20)
    study = open_study(tmp_path / "journal.log", "toy", direction)
    fill(study, 15)
    storage = study._storage
    numbers = [trial.number for trial in storage.worth_a_look(study._study_id)]
    assert numbers == [trial.number for trial in study.get_trials()]
    fill(study, 120)
    everything = study.get_trials()
    seen = [trial.number for trial in storage.worth_a_look(study._study_id)]
    assert seen == [trial.number for trial in choose(everything, study.direction)]
    assert len(seen) < 50
    best = sorted(
        (trial for trial in everything if trial.state == TrialState.COMPLETE),
        key=lambda trial: trial.value, reverse=direction == "maximize",
    )  # fmt: skip
    assert {trial.number for trial in best[:5]} <= set(seen)
    assert {trial.number for trial in everything if not trial.state.is_finished()} <= set(seen)
    again = RunJournal(FewWrites(tmp_path / "journal.log"))
    storage.flush()
    assert [trial.number for trial in again.worth_a_look(0)] == seen


@pytest.mark.parametrize("pruner", [optuna.pruners.MedianPruner(3, 1), optuna.pruners.HyperbandPruner(1, 3)])
def test_a_short_study_proposes_and_prunes_as_if_it_were_seen_whole(tmp_path, pruner):
    def run(path, *, through_outlook):
        study = open_study(
            path, "toy", "maximize", sampler=optuna.samplers.TPESampler(seed=3, n_startup_trials=5), pruner=pruner
        )
        outlook = Outlook(study) if through_outlook else None
        rng, said = np.random.default_rng(4), []
        for _ in range(25):
            trial = study.ask(SPACE)
            gives_up = False
            for step in (1, 2, 3):
                trial.report(trial.params["p"] + 0.3 * rng.normal(), step)
                frozen = study._storage.get_trial(trial._trial_id)
                gives_up = outlook.gives_up(frozen) if outlook else trial.should_prune()
                if gives_up:
                    break
            said.append((trial.params, gives_up))
            study.tell(trial, None if gives_up else trial.params["p"], state=TrialState.PRUNED if gives_up else None)
        return said

    with_outlook = run(tmp_path / "a", through_outlook=True)
    assert with_outlook == run(tmp_path / "b", through_outlook=False)
    assert {gave_up for _, gave_up in with_outlook} == {True, False}


def test_the_sampler_of_a_long_study_gets_no_more_than_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "LATEST", 20)
    asked = []

    class Spy(optuna.samplers.RandomSampler):
        def sample_independent(self, study, trial, param_name, param_distribution):
            asked.append(len(study.get_trials(deepcopy=False)))
            return super().sample_independent(study, trial, param_name, param_distribution)

    study = open_study(tmp_path / "journal.log", "toy", "maximize", sampler=Spy(seed=1))
    book = TrialBook(study, RunFolder(tmp_path, metric="pearson_r", parameters=()), name="toy", higher_is_better=True)
    for number in range(60):
        trial = book.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, float(number))
    assert asked[:20] == list(range(1, 21))
    assert max(asked) <= 20 + view.FIRST + view.BEST + 1
    assert asked[-1] < 60 or view.BEST >= 60


# -- the leaderboard --------------------------------------------------------------------------------------------------


def test_the_leaderboard_follows_the_records_now_and_then_and_when_it_must(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path, metric="pearson_r", parameters=())
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def rows():
        return (tmp_path / LEADERBOARD).read_text().count("\n") - 1

    def append(number):
        folder.append(TrialRecord(kind="network", name=f"toy-{number}", trial=number, state="complete", value=0.1))

    append(0)
    assert rows() == 1
    for number in range(1, 5):
        append(number)
    assert rows() == 1
    assert (tmp_path / TRIALS).read_text().count("\n") == 5
    clock[0] += LEADERBOARD_EVERY + 0.1
    folder.keep_up(now=False)
    assert rows() == 5
    append(5)
    folder.keep_up(now=True)
    assert rows() == 6
    before = (tmp_path / LEADERBOARD).stat().st_ino
    folder.keep_up(now=True)  # nothing came
    assert (tmp_path / LEADERBOARD).stat().st_ino == before


def test_the_journal_stays_json_lines(tmp_path):
    path = tmp_path / "journal.log"
    study = open_study(path, "toy", "maximize")
    fill(study, 10)
    study._storage.flush()
    assert all("op_code" in json.loads(line) for line in path.read_text().splitlines())
