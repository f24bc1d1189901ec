"""What a slot's process makes of a task, and what a user sees."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from automl_pheno.errors import InfeasibleError, StudyError, TrainingError
from automl_pheno.study.progress import ConsoleProgress, Standing, duration
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.slots import worker
from automl_pheno.study.slots.dask_executor import remote_executor
from automl_pheno.study.slots.reports import Reports


def run(error, monkeypatch):
    def function(task, report):
        raise error

    monkeypatch.setattr(worker, "_resolve", lambda name: function)
    return worker.run_task({"id": "a", "function": "x:y"}, lambda step, value: False)


@pytest.mark.parametrize(
    ("error", "state", "reason", "recycle"),
    [
        (InfeasibleError("too long"), "infeasible", "too long", False),
        (TrainingError("loss is nan"), "failed", "loss is nan", False),
        (MemoryError(), "failed", "MemoryError", True),
        (KeyError("x"), "failed", "KeyError: 'x'", False),
    ],
)
def test_whatever_a_trial_raises_becomes_an_outcome(monkeypatch, error, state, reason, recycle):
    outcome = run(error, monkeypatch)
    assert (outcome["state"], outcome["reason"], outcome["recycle"]) == (state, reason, recycle)
    assert outcome["rss"] > 2**20
    assert outcome["pid"] > 0


def test_a_process_that_has_grown_asks_to_be_recycled(monkeypatch):
    monkeypatch.setattr(worker, "_rss_after_first", {False: 0, True: 0})
    monkeypatch.setattr(worker, "_clean_up", lambda: int(1.4 * 2**30))
    assert not run(TrainingError("x"), monkeypatch)["recycle"]
    monkeypatch.setattr(worker, "_clean_up", lambda: int(1.6 * 2**30))
    assert run(TrainingError("x"), monkeypatch)["recycle"]


def test_no_scheduler_at_the_address(tmp_path):
    refusal = "no Dask scheduler answers at 'nonsense://x'"
    with pytest.raises(StudyError, match=refusal), remote_executor("nonsense://x", tmp_path, "tensorflow", tmp_path):
        pass


RECORD = TrialRecord(
    kind="network", name="cnn-4", state="complete", trial=4, value=0.51234, epochs=12, seconds=3.2, device="gpu 1 (T4)"
)


def listen(console):
    progress = ConsoleProgress(console)
    progress.begin(Standing(target=30, metric="pearson_r"), slots=2, time_limit=600.0)
    progress.started("cnn-4", "host:1")
    progress.started("cnn-5", "host:2")
    progress.reported("cnn-5", 7, 0.25)
    text = progress._render()
    progress.finished(
        "cnn-4", RECORD, Standing(target=30, metric="pearson_r", complete=1, fresh=1, best=0.51234, best_name="cnn-4")
    )
    header = progress._header()
    progress.end()
    return text, header


def test_log_lines_where_there_is_no_terminal():
    console = Console(file=io.StringIO(), force_terminal=False, width=200)
    listen(console)
    assert console.file.getvalue() == "[1/30] cnn-4 complete: pearson_r 0.5123, 12 epochs, 3.2 s on gpu 1 (T4)\n"


def test_a_line_for_each_slot_and_a_header_in_a_terminal():
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    shown, header = listen(console)
    lines = Console(file=io.StringIO(), width=200)
    lines.print(shown)
    head, columns, *slots = lines.file.getvalue().splitlines()
    assert head.startswith("0/30 trials | ")
    assert columns.split() == ["slot", "trial", "step", "value", "seconds"]
    assert [line.split()[:2] for line in slots] == [["host:1", "cnn-4"], ["host:2", "cnn-5"]]
    assert re.fullmatch(
        r"1/30 trials \| 1 done, 0 pruned, 0 failed \| pearson_r: best 0.5123 \(cnn-4\) \| \d+ trials/h \| .+ left",
        header,
    )
    assert "\x1b[" in console.file.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (61, "1 min"), (3900, "1 h 05 min")])
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("ours", [True, False])
def test_the_collector_looks_past_what_lives_after_the_first_trial_in_our_own_processes_only(monkeypatch, ours):
    frozen = []
    monkeypatch.setattr(worker.gc, "freeze", lambda: frozen.append(1))
    monkeypatch.setattr(worker, "_settled", set())
    monkeypatch.setattr(worker, "_is_ours", False)
    monkeypatch.setattr(worker, "_resolve", lambda name: lambda task, report: {"state": "complete"})
    if ours:
        worker.own_process()
    for _ in range(3):
        reports = Reports(lambda content: None, None, task="a", slot="here")
        reports.add = lambda step, value: None
        assert worker.perform({"id": "a", "function": "x:y"}, reports, lambda: False, None)["state"] == "complete"
    assert len(frozen) == int(ours)
