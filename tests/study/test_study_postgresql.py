"""A real PostgreSQL, started by the test, and real supervisors in processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
import study_postgresql
from study_wait import wait_for

from automl_pheno.cli import main
from automl_pheno.errors import StudyError
from automl_pheno.study.records import TrialRecord, append_record, read_records
from automl_pheno.study.storage import database
from automl_pheno.study.storage.copy import copy_study
from automl_pheno.study.storage.database import open_database
from automl_pheno.study.storage.opening import open_shared
from automl_pheno.study.storage.shared import SharedBook

HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(study_postgresql.why_not()), reason=study_postgresql.why_not()),
]


@pytest.fixture(scope="module")
def server():
    server = study_postgresql.Server()
    yield server
    server.close()


@pytest.fixture
def url(server, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", study_postgresql.PASSWORD)
    return server.create()


@pytest.fixture
def start(tmp_path, url):
    """Start a supervisor of the shared study in the run folder ``tmp_path/NAME``; all are killed at the end."""
    started = []

    def start(name, trials, workers=1, sleep=0.1, lease=6.0, patience=60.0):
        log = tmp_path / f"{name}-{len(started)}.txt"
        arguments = [tmp_path / name, url, trials, workers, sleep, lease, patience]
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, str(HERE / "shared_driver.py"), *map(str, arguments)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        process.log = log
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


def finish(process, seconds=120):
    code = process.wait(timeout=seconds)
    return code, process.log.read_text()


def marks(tmp_path):
    """Return the names of the trials and baselines that were begun, one for each time."""
    return sorted(mark.name.rpartition(".")[0] for mark in (tmp_path / "marks").glob("*"))


def networks(run):
    return [record for record in read_records(run / "trials.jsonl") if record.kind == "network"]


def assert_exact(tmp_path, url, trials, runs, begun_twice=0):
    """Each run folder has the same records of exactly `trials` networks; nothing was begun more often than put back."""
    boards = {(tmp_path / run / "leaderboard.csv").read_bytes() for run in runs}
    assert len(boards) == 1
    records = networks(tmp_path / runs[0])
    assert [record.state for record in records] == ["complete"] * trials
    assert len({record.trial for record in records}) == trials
    assert len({str(sorted(record.params.items())) for record in records}) == trials
    baselines = [record.name for record in read_records(tmp_path / runs[0] / "trials.jsonl") if record.trial is None]
    assert sorted(baselines) == ["mean", "ridge"]
    begun = marks(tmp_path)
    assert len(begun) == len(set(begun))  # a repeat has a number of its own
    assert trials + 2 <= len(begun) <= trials + 2 + begun_twice
    storage = plain(url)
    study = optuna.load_study(study_name="toy", storage=storage)
    complete = [trial for trial in study.get_trials() if trial.state == optuna.trial.TrialState.COMPLETE]
    assert {trial.number for trial in complete} == {record.trial for record in records}
    assert not [trial for trial in study.get_trials() if trial.state == optuna.trial.TrialState.RUNNING]
    assert study.best_value == max(record.value for record in records)
    storage.engine.dispose()
    return records


def plain(url):
    """Return the storage as somebody opens it who knows only Optuna."""
    return optuna.storages.RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))


def test_two_supervisors_share_the_work_exactly(start, tmp_path, url):
    processes = [start(name, 14, workers=2) for name in ("a", "b")]
    for process in processes:
        code, output = finish(process)
        assert code == 0, output
        assert output.splitlines()[-1] == "finished"
    records = assert_exact(tmp_path, url, 14, ["a", "b"])
    assert len({record.supervisor for record in records}) == 2  # both worked
    for run in ("a", "b"):
        for file in (tmp_path / run).rglob("*"):
            if file.is_file():
                assert study_postgresql.PASSWORD.encode() not in file.read_bytes(), file


def test_one_is_killed_and_the_other_finishes(start, tmp_path, url):
    victim, other = start("a", 12, sleep=0.3, workers=2), start("b", 12, sleep=0.3, workers=2)
    wait_for(lambda: (tmp_path / "a" / "trials.jsonl").exists() and len(networks(tmp_path / "a")) >= 3)
    wait_for(lambda: [mark for mark in marks(tmp_path) if mark.startswith("toy")])
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    code, output = finish(other)
    assert code == 0, output
    assert output.splitlines()[-1] == "finished"
    assert_exact(tmp_path, url, 12, ["b"], begun_twice=4)
    # Started again, the killed one has nothing to do but to bring its folder up to date.
    code, output = finish(start("a", 12))
    assert code == 0, output
    assert_exact(tmp_path, url, 12, ["a", "b"], begun_twice=4)


def test_one_that_was_suspended_finds_its_trials_taken(start, tmp_path, url):
    sleeper, other = start("a", 8, workers=0, sleep=0.3, lease=3.0), start("b", 8, workers=0, sleep=0.3, lease=3.0)
    wait_for(lambda: (tmp_path / "a" / "trials.jsonl").exists() and len(networks(tmp_path / "a")) >= 2)
    sleeper.send_signal(signal.SIGSTOP)
    code, output = finish(other)
    assert code == 0, output
    sleeper.send_signal(signal.SIGCONT)
    code, output = finish(sleeper)
    assert code == 0, output
    assert_exact(tmp_path, url, 8, ["a", "b"], begun_twice=2)


def test_a_restart_of_the_server_loses_nothing(start, server, tmp_path, url):
    processes = [start(name, 24, workers=0, sleep=0.5) for name in ("a", "b")]
    folders = [tmp_path / name for name in ("a", "b")]
    wait_for(lambda: all((folder / "trials.jsonl").exists() and networks(folder) for folder in folders))
    server.stop()
    time.sleep(3.0)
    server.start()
    for process in processes:
        code, output = finish(process)
        assert code == 0, output
        assert "the database is lost" in output
        assert "the database answers again" in output
    assert_exact(tmp_path, url, 24, ["a", "b"])


def test_a_server_that_stays_away_ends_the_search_and_the_same_command_resumes(start, server, tmp_path, url):
    process = start("a", 6, workers=0, sleep=0.2, patience=2.0)
    wait_for(lambda: (tmp_path / "a" / "trials.jsonl").exists() and len(networks(tmp_path / "a")) >= 2)
    server.stop()
    code, output = finish(process)
    server.start()
    assert code == 2, output
    assert "nothing was lost: resume with the same command" in output.splitlines()[-1]
    assert study_postgresql.PASSWORD not in output
    code, output = finish(start("a", 6, workers=0))
    assert code == 0, output
    assert_exact(tmp_path, url, 6, ["a"], begun_twice=1)
    assert not (tmp_path / "a" / "pending.jsonl").exists()


def test_a_supervisor_that_stands_still_in_a_transaction_stops_nobody(url, monkeypatch):
    monkeypatch.setattr(database, "STANDSTILL", 1.0)
    sleeper, other = (open_database(url, supervisor=name) for name in ("a", "b"))
    study = sleeper.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "toy")
    locked, attempts = threading.Event(), []

    def count(row):
        row.set("n", (row.get("n") or 0) + 1)

    def count_slowly(row):
        attempts.append(row)
        count(row)
        if len(attempts) == 1:
            locked.set()
            time.sleep(8.0)

    thread = threading.Thread(target=sleeper.change, args=(study, count_slowly))
    thread.start()
    assert locked.wait(30)
    began = time.monotonic()
    other.change(study, count)
    assert time.monotonic() - began < 7.0
    thread.join(60)
    assert len(attempts) == 2  # the one that stood still did not count
    assert other.get_study_system_attrs(study) == {"n": 2}
    for storage in (sleeper, other):
        storage.close()


# -- opening -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("/study", "/nothing"), "there is no database 'nothing"),
        (("tester@", "tester:wrong@"), "the password is wrong"),
        (("tester@", "stranger@"), "the password is wrong, or the user is unknown"),
    ],
)
def test_refusals_are_one_clear_line(url, change, message):
    with pytest.raises(StudyError, match=message) as caught:
        open_database(url.replace(*change))
    assert "wrong@" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_port_where_nobody_listens(url, monkeypatch):
    port = url.split(":")[2].split("/")[0]
    with pytest.raises(StudyError, match="no server listens there"):
        open_database(url.replace(port, "1"))
    monkeypatch.delenv("PGPASSWORD")
    with pytest.raises(StudyError, match="a password is needed: set PGPASSWORD"):
        open_database(url)


@pytest.fixture
def opened():
    """Open a shared study; it is closed at the end."""
    with contextlib.ExitStack() as stack:

        def opened(*arguments):
            return stack.enter_context(open_shared(*arguments))

        yield opened


def test_another_space_is_refused_with_the_difference(url, tmp_path, opened):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    opened(url, "toy", "maximize", tmp_path / "a", {"space": {"depth": 3}, "seed": 1})
    with pytest.raises(StudyError, match=r"was started with something else; .*\n  space.depth: was 3, now 4"):
        open_shared(url, "toy", "maximize", tmp_path / "b", {"space": {"depth": 4}, "seed": 1})
    with pytest.raises(StudyError, match="is to maximize its value, but the metric is to be minimized"):
        open_shared(url, "toy", "minimize", tmp_path / "b", {"space": {"depth": 3}, "seed": 1})
    with pytest.raises(StudyError, match=r"its trials are in the study 'toy' .* another one than 'tob'"):
        open_shared(url, "tob", "maximize", tmp_path / "a", {"space": {"depth": 3}, "seed": 1})
    again = opened(url, "toy", "maximize", tmp_path / "a", {"space": {"depth": 3}, "seed": 1})
    assert (again.ordinal, len(again.previous)) == (1, 1)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "journal.log").touch()
    with pytest.raises(StudyError, match=r"its trials are in journal.log; copy them to the database"):
        open_shared(url, "toy", "maximize", tmp_path / "c", {"space": {"depth": 3}, "seed": 1})


# -- copies ------------------------------------------------------------------------------------------------------


class Nothing:
    def __init__(self):
        self.kept = []

    def records(self):
        return self.kept

    def append(self, record):
        self.kept.append(record)


def test_a_copy_goes_on_where_the_original_stood(url, tmp_path, opened):
    (tmp_path / "a").mkdir()
    shared = opened(url, "toy", "maximize", tmp_path / "a", {"seed": 1})
    book = SharedBook(shared.study(), shared.storage, Nothing(), name="toy", higher_is_better=True, folder=tmp_path)
    book.start(killed=False)
    for number in range(4):
        trial = book.ask()
        trial.suggest_float("x", 0, 1)
        assert book.claim(trial, 4)
        if number < 3:
            trial.report(0.1, 1)
            record = TrialRecord(
                kind="network", name=f"toy-{number}", state="complete", trial=number, value=number / 10,
                params=dict(trial.params),
            )  # fmt: skip
            assert book.close(record, trial)
    append_record(tmp_path / "unused.jsonl", book.records()[0])
    journal, sqlite = tmp_path / "copy.log", f"sqlite:///{tmp_path}/copy.db"
    copied = copy_study(url, str(journal))
    assert (copied.trials, copied.records, copied.put_back) == (4, 3, 1)
    assert main(["copy", str(journal), sqlite, "--name", "other"]) == 0
    assert main(["copy", sqlite, url, "--name", "third"]) == 0
    assert main(["copy", sqlite, url, "--name", "third"]) == 2
    places = {
        "other": optuna.storages.RDBStorage(sqlite),
        "third": plain(url),
        "toy": optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(journal))),
    }
    original = shared.study().get_trials()
    for name, storage in places.items():
        trials = optuna.load_study(study_name=name, storage=storage).get_trials()
        assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3 + ["FAIL", "WAITING"]
        for before, now in zip(original[:3], trials, strict=False):
            assert (now.number, now.value, now.params) == (before.number, before.value, before.params)
            assert (now.user_attrs, now.system_attrs) == (before.user_attrs, before.system_attrs)
            assert now.intermediate_values == before.intermediate_values
        assert trials[4].system_attrs["fixed_params"] == original[3].params
        if name != "toy":
            storage.engine.dispose()
    book.finish()
    # Another folder and another database: three are counted, the fourth is the one that was in flight.
    (tmp_path / "b").mkdir()
    third = opened(url, "third", "maximize", tmp_path / "b", {"seed": 1})
    ledger = Nothing()
    again = SharedBook(third.study(), third.storage, ledger, name="toy", higher_is_better=True, folder=tmp_path / "b")
    assert again.start(killed=False) == []
    assert again.counted == 3
    assert [record.value for record in ledger.kept] == [0.0, 0.1, 0.2]
    trial = again.ask()
    assert trial.suggest_float("x", 0, 1) == original[3].params["x"]
    assert again.claim(trial, 4)
    surplus = again.ask()
    surplus.suggest_float("x", 0, 1)
    assert not again.claim(surplus, 4)
    again.finish()


# -- a whole search ----------------------------------------------------------------------------------------------


def test_a_whole_search_opens_the_test_set_once(url, tmp_path, capsys):
    table = tmp_path / "promoters.csv"
    assert main(["simulate", "motifs", "-o", str(tmp_path / "data"), "--n", "300"]) == 0
    table = next((tmp_path / "data").glob("*.csv*"))
    space = HERE.parents[1] / "search_spaces" / "cnn.yaml"
    secret = url.replace("tester@", "tester:sea%7Bret%25%2F%40word@")

    def search(out, *options):
        words = ["search", "--space", str(space), "--data", str(table), "--trials", "0", "--workers", "0"]
        words += ["--baselines", "mean,ridge", "--no-explain", "--storage", secret, "--out", str(tmp_path / out)]
        code = main([*words, *options])
        said = capsys.readouterr()
        return code, said.out + said.err

    code, output = search("a")
    assert code == 0, output
    code, output = search("b")
    assert code == 0, output
    assert f"the model is in {tmp_path / 'a'}" in output
    assert (tmp_path / "a" / "leaderboard.csv").read_bytes() == (tmp_path / "b" / "leaderboard.csv").read_bytes()
    assert "test_pearson_r" in (tmp_path / "b" / "leaderboard.csv").read_text()
    assert (tmp_path / "a" / "final.json").exists()
    assert not (tmp_path / "b" / "final.json").exists()
    (tmp_path / "a" / "final.json").unlink()  # killed between telling the others and its own last file
    code, output = search("a")
    assert code == 0, output
    assert (tmp_path / "a" / "final.json").exists()
    code, output = search("c", "--seed", "7")
    assert code == 2
    assert "was started with something else" in output
    assert "seed: was 0, now 7" in output
    assert not (tmp_path / "c").exists()
    code, output = search("c", "--trials", "3")
    assert code == 2
    assert "asks for more than the 0 of the study" in output
    for run in ("a", "b", "c"):
        for file in (tmp_path / run).rglob("*"):
            assert not file.is_file() or b"sea%7Bret" not in file.read_bytes(), file
            assert not file.is_file() or study_postgresql.PASSWORD.encode() not in file.read_bytes(), file
