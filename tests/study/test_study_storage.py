"""Journals and records that a killed process left half-written, and disks that are full."""

from __future__ import annotations

import errno
import resource
import signal

import optuna
import pytest

from automl_pheno.errors import StudyError
from automl_pheno.files import write_text
from automl_pheno.study.records import TrialRecord, append_record, read_records, repair_records
from automl_pheno.study.storage.journal import open_study, put_back, repair_journal


def record(number, **fields):
    return TrialRecord(kind="network", name=f"toy-{number}", state="complete", trial=number, value=0.5, **fields)


def fill(path, n=3):
    study = open_study(path, "toy", "maximize")
    for _ in range(n):
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(0.1, 1)
        study.tell(trial, 0.5)
    return study


def test_a_journal_cut_at_any_byte_of_its_end_opens_and_goes_on(tmp_path):
    whole = tmp_path / "whole.log"
    fill(whole)
    content = whole.read_bytes()
    lines = content.splitlines(keepends=True)
    start = len(content) - sum(map(len, lines[-3:]))
    for cut in range(start, len(content) + 1):
        path = tmp_path / "cut.log"
        path.write_bytes(content[:cut])
        repaired = repair_journal(path)
        assert repaired == (not content[:cut].endswith(b"\n"))
        assert content.startswith(path.read_bytes())
        assert len(path.read_bytes().splitlines()) == content[:cut].count(b"\n")
    path.write_bytes(content[: len(content) - 5])
    study = open_study(path, "toy", "maximize")
    assert [trial.state.name for trial in study.get_trials()] == ["COMPLETE", "COMPLETE", "RUNNING"]
    study.tell(study.ask(), 0.7)
    assert len(open_study(path, "toy", "maximize").get_trials()) == 4


def test_a_journal_damaged_in_the_middle_is_named(tmp_path):
    path = tmp_path / "journal.log"
    fill(path)
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\n" + content[130:])
    with pytest.raises(StudyError, match=r"journal.log: the journal is damaged"):
        open_study(path, "toy", "maximize")


def test_the_lock_of_a_dead_process_does_not_delay(tmp_path):
    path = tmp_path / "journal.log"
    fill(path)
    (tmp_path / "journal.log.lock").symlink_to(path)
    assert len(open_study(path, "toy", "maximize").get_trials()) == 3


def test_put_back_follows_the_schema_of_optuna(tmp_path):
    study = fill(tmp_path / "journal.log", n=0)
    first = study.ask()
    first.suggest_float("x", 0, 1)
    assert put_back(study, study.get_trials()[0], reason="its process died", killed=True) is None
    again = study.get_trials()[1]
    retry = optuna.storages.RetryHeartbeatStaleTrialCallback
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        assert retry.retried_trial_number(again) == 0
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        assert retry.retry_history(again) == [0]
    second = study.ask()
    assert second.number == 1
    assert second.suggest_float("x", 0, 1) == first.params["x"]
    beyond = put_back(study, study.get_trials()[1], reason="its process died", killed=True)
    assert beyond == "killed 2 workers (its process died)"
    assert [trial.state.name for trial in study.get_trials()] == ["FAIL"] * 2


def test_put_back_without_a_kill_never_gives_up(tmp_path):
    study = fill(tmp_path / "journal.log", n=0)
    for number in range(5):
        study.ask().suggest_float("x", 0, 1)
        assert put_back(study, study.get_trials()[number], reason="interrupted", killed=False) is None
    assert study.get_trials()[5].system_attrs["retry_history"] == [0, 1, 2, 3, 4]


def test_records_survive_the_file(tmp_path):
    path = tmp_path / "trials.jsonl"
    written = record(3, params={"a": 1, "b": "x"}, curve=({"loss": 0.5},), scores={"r2": 0.25}, retries=(1, 2))
    append_record(path, written)
    assert read_records(path) == [written]


def test_numbers_that_are_not_finite_become_null(tmp_path):
    path = tmp_path / "trials.jsonl"
    append_record(path, record(0, curve=({"loss": float("nan"), "val_loss": float("inf")},)))
    assert read_records(path)[0].curve == ({"loss": None, "val_loss": None},)
    assert "NaN" not in path.read_text()


def test_records_cut_at_any_byte_lose_the_last_line_alone(tmp_path):
    path = tmp_path / "trials.jsonl"
    for number in range(2):
        append_record(path, record(number))
    content = path.read_bytes()
    end_of_first = content.index(b"\n") + 1
    for cut in range(end_of_first, len(content) + 1, 7):
        path.write_bytes(content[:cut])
        assert read_records(path)[:1] == [record(0)]
        repair_records(path)
        append_record(path, record(9))
        assert [item.trial for item in read_records(path)][-1] == 9
        assert all(line.startswith("{") for line in path.read_text().splitlines())
    path.write_bytes(content[:-1])  # whole but for the newline
    assert repair_records(path)
    assert path.read_bytes() == content


def test_a_damaged_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "trials.jsonl"
    append_record(path, record(0))
    path.write_text(path.read_text()[:20] + "\n" + path.read_text())
    with pytest.raises(StudyError, match=r"trials.jsonl:1: a record must be one line of JSON"):
        read_records(path)


@pytest.fixture
def full_disk():
    """Let files grow to 2,000 bytes and no further, which is what a full disk does to a write."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill_up():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))

    yield fill_up
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_whole_files_and_one_clear_error(tmp_path, full_disk):
    path, other = tmp_path / "trials.jsonl", tmp_path / "leaderboard.csv"
    append_record(path, record(0))
    write_text(other, "old")
    before = path.read_bytes()
    full_disk()
    with pytest.raises(StudyError, match=r"trials.jsonl: cannot be written: File too large"):
        append_record(path, record(1, reason="x" * 3000))
    with pytest.raises(StudyError, match=r"leaderboard.csv: cannot be written"):
        write_text(other, "y" * 3000)
    assert path.read_bytes() == before
    assert other.read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["leaderboard.csv", "trials.jsonl"]


def test_no_space_is_named(tmp_path, monkeypatch):
    def no_space(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "trials.jsonl"
    append_record(path, record(0))
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(StudyError, match="No space left on device; nothing was lost"):
        append_record(path, record(1))
    assert path.read_bytes() == before
