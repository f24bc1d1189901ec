"""Each fault is made to happen, and what follows is what docs/reliability.md says."""

from __future__ import annotations

import ast
import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from study_wait import wait_for

from automl_pheno.errors import OutputError, StudyError, TrainingError
from automl_pheno.space.load import parse_space
from automl_pheno.study import faults, steady
from automl_pheno.study.engines import EngineRequest, make_engine
from automl_pheno.study.interrupts import on_interrupt
from automl_pheno.study.plan import Plan
from automl_pheno.study.progress import Silent
from automl_pheno.study.records import COUNTED, TrialRecord
from automl_pheno.study.run_folder import JOURNAL, RunFolder
from automl_pheno.study.running import BATCH_DIVISOR, INTERRUPTED, Running
from automl_pheno.study.slots import cluster, nanny, worker
from automl_pheno.study.slots.executor import Finished, InProcess
from automl_pheno.study.slots.machine import Machine
from automl_pheno.study.slots.symptoms import DEVICE, DISK, GONE, MEMORY, fault_of
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.journal import KILLS, LOSSES, MAX_LOSSES, count_loss, open_study
from automl_pheno.study.supervisor import Supervisor

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "automl_pheno"
SPACE = """
schema: 1
name: toy
trunk:
  - block: conv
    filters: {values: [4, 8, 16]}
    kernel_size: {min: 3, max: 9, step: 2}
  - block: flatten
fit:
  batch_size: {values: [32, 64]}
"""


class Heard(Silent):
    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


class Scripted(InProcess):
    """Answers each task from a script, ``(task, number of the attempt) -> outcome``, without training."""

    def __init__(self, script):
        super().__init__()
        self.script = script
        self.tasks = []
        self.recycled = []

    def poll(self, timeout, on_report):
        if not self.waiting:
            return []
        task = self.waiting.popleft()
        self.tasks.append(task)
        return [Finished(task=str(task["id"]), outcome=self.script(task, len(self.tasks)))]

    def recycle(self, task):
        self.recycled.append(task)


def done(value=0.5, **fields):
    return {"state": "complete", "value": value, "scores": {"pearson_r": value}, **fields}


@pytest.fixture
def search(tmp_path):
    def search(executor, trials=4, **fields):
        space = parse_space(SPACE)
        search.folder = RunFolder(tmp_path, metric="pearson_r", parameters=("fit.batch_size",))
        request = EngineRequest(
            space=space, seed=1, slots=1, folder=tmp_path, higher_is_better=True, max_epochs=10, trials=trials
        )
        engine = make_engine("random", request)
        search.study = open_study(tmp_path / JOURNAL, "toy", "maximize", sampler=engine.sampler)
        common = {"function": fields.pop("function", "study_trials:by_filters"), **fields.pop("common", {})}
        plan = Plan(
            space=space, check=lambda config: 1, metric="pearson_r", higher_is_better=True, seed=3, trials=trials,
            common=common, **fields,
        )  # fmt: skip
        search.heard = Heard()
        book = TrialBook(search.study, search.folder, name="toy", higher_is_better=True)
        search.supervisor = Supervisor(plan, engine, book, executor, search.heard)
        ending = search.supervisor.run()
        search.records = [record for record in search.folder.records() if record.state in COUNTED]
        return ending

    return search


# -- which fault an exception is -------------------------------------------------------------------------------------


def named(name, text):
    return type(name, (RuntimeError,), {})(text)


def wrapped(error):
    try:
        try:
            raise error
        except Exception as cause:
            message = "while the layer was called"
            raise ValueError(message) from cause
    except ValueError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (MemoryError(), MEMORY),
        (named("ResourceExhaustedError", "OOM when allocating tensor with shape[9,9]"), MEMORY),
        (named("XlaRuntimeError", "RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes"), MEMORY),
        (named("JaxRuntimeError", "RESOURCE_EXHAUSTED: Out of memory"), MEMORY),
        (named("InternalError", "CUDA_ERROR_OUT_OF_MEMORY: out of memory"), MEMORY),
        (wrapped(MemoryError()), MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), MEMORY),
        (named("InternalError", "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access"), DEVICE),
        (named("XlaRuntimeError", "INTERNAL: CUDNN_STATUS_EXECUTION_FAILED"), DEVICE),
        (OSError(errno.ENOSPC, "No space left on device"), DISK),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), DISK),
        (OSError(errno.EROFS, "Read-only file system"), DISK),
        (wrapped(OSError(errno.ENOSPC, "No space left on device")), DISK),
        (OSError(errno.ENOENT, "No such file"), None),
        (named("XlaRuntimeError", "INVALID_ARGUMENT: shapes differ"), None),
        (RuntimeError("RESOURCE_EXHAUSTED is only a word here"), None),
    ],
)
def test_faults_are_known_by_name_and_cause(error, fault):
    assert fault_of(error) == fault


def outcome_of(error, monkeypatch):
    def function(task, report):
        raise error

    monkeypatch.setattr(worker, "_resolve", lambda name: function)
    monkeypatch.setattr(worker, "_rss_after_first", {})  # what else this process has run is no growth
    return worker.run_task({"id": "a", "function": "x:y"}, lambda step, value: False)


def test_a_fault_asks_for_a_fresh_process_and_shows_no_traceback(monkeypatch):
    memory = outcome_of(MemoryError(), monkeypatch)
    assert (memory["fault"], memory["recycle"], "traceback" in memory) == (MEMORY, True, False)
    nan = outcome_of(TrainingError("the training loss was nan"), monkeypatch)
    assert ("fault" in nan, nan["recycle"], "traceback" in nan) == (False, False, False)
    assert "traceback" in outcome_of(KeyError("x"), monkeypatch)


# -- memory ----------------------------------------------------------------------------------------------------------


def test_out_of_memory_is_tried_once_more_with_half_the_batch(search):
    def script(task, number):
        return done() if number > 1 else {"state": "failed", "reason": "MemoryError", "fault": MEMORY, "recycle": True}

    slots = Scripted(script)
    assert search(slots, trials=1) == "finished"
    first, second = (task["candidate"]["config"]["fit"]["batch_size"] for task in slots.tasks)
    assert second == first // 2
    assert slots.recycled == [slots.tasks[0]["id"]]
    (record,) = search.records
    assert record.state == "complete"
    assert record.params["fit.batch_size"] == first  # what was asked
    assert record.candidate["config"]["fit"]["batch_size"] == second  # what was trained
    assert "1/2 of its batch size" in record.reason
    assert record.retries == (0,)
    assert "1 times a slot's process was started anew" in search.heard.messages[-1]


def test_out_of_memory_twice_fails_with_the_reason_and_the_next_trial_runs(search):
    def script(task, number):
        return done() if number > 2 else {"state": "failed", "reason": "MemoryError", "fault": MEMORY, "recycle": True}

    search(Scripted(script), trials=2)
    assert [record.state for record in search.records] == ["failed", "complete"]
    assert search.records[0].reason.startswith("MemoryError; trained with 1/2")


def test_a_process_killed_for_its_memory_is_tried_with_half_the_batch(search):
    lost = {"state": "lost", "reason": "its process died of the memory it took", "fault": MEMORY}
    slots = Scripted(lambda task, number: done() if number > 1 else lost)
    search(slots, trials=1)
    first, second = (task["candidate"]["config"]["fit"]["batch_size"] for task in slots.tasks)
    assert second == first // 2
    assert search.records[0].state == "complete"


def test_a_batch_of_one_cannot_be_halved():
    config = {"fit": {"batch_size": 1}}
    running = Running({"candidate": {"config": config}}, trial=object(), name="a", seed=0)
    outcome = {"state": "failed", "reason": "MemoryError", "fault": MEMORY}
    assert faults.judge(running, outcome).action == "record"
    again = Running({"candidate": {"config": {"fit": {"batch_size": 8}}}}, trial=object(), name="a", seed=0)
    assert faults.judge(again, outcome).attributes == {BATCH_DIVISOR: 2}


def test_a_gpu_that_fails_is_tried_elsewhere_and_twice_is_enough(search):
    broken = {"state": "failed", "reason": "CUDA_ERROR", "fault": DEVICE, "recycle": True}
    slots = Scripted(lambda task, number: done() if number > 2 else broken)
    search(slots, trials=2)
    assert [record.state for record in search.records] == ["failed", "complete"]
    assert search.records[0].reason == "killed 2 workers (CUDA_ERROR)"
    assert len(slots.recycled) == 2


def test_how_much_a_process_may_grow_depends_on_its_slot():
    gigabyte = 2**30
    assert worker.allowed_growth(gigabyte, None) == worker.GROWTH_LIMIT
    assert worker.allowed_growth(gigabyte, 64 * gigabyte) == worker.GROWTH_LIMIT
    assert worker.allowed_growth(gigabyte, 3 * gigabyte) == pytest.approx(0.8 * gigabyte)
    assert worker.allowed_growth(gigabyte, gigabyte) == worker.LEAST_GROWTH


# -- trials that fail, kill or hang ----------------------------------------------------------------------------------


def test_a_configuration_that_killed_two_workers_is_never_tried_again(search):
    def script(task, number):
        if task["candidate"]["config"]["trunk"][0]["filters"] == 4:
            return {"state": "lost", "reason": "its process died"}
        return done()

    slots = Scripted(script)
    assert search(slots, trials=24) == "finished"  # the whole space
    kills = [task["params"] for task in slots.tasks if task["params"]["trunk.0.filters"] == 4]
    assert len(kills) == 2 * len({str(sorted(params.items())) for params in kills}) == 16
    failed = [record for record in search.records if record.state == "failed"]
    assert len(failed) == 8
    assert {record.reason for record in failed} == {"killed 2 workers (its process died)"}
    assert len(search.records) == 24
    again = Scripted(script)
    assert search(again, trials=25) == "exhausted"
    assert again.tasks == []


def test_a_trial_that_loses_its_slot_again_and_again_is_given_up_though_nobody_blames_it(search):
    def script(task, number):
        name = task["candidate"]["name"]
        if name == "gblup" or task["params"].get("trunk.0.filters") == 4:
            return {"state": "lost", "fault": GONE, "reason": "its worker left"}
        return done()

    slots = Scripted(script)
    assert search(slots, trials=24, baselines=("gblup",)) == "finished"
    failed = [record for record in search.folder.records() if record.state == "failed"]
    assert {record.reason for record in failed} == {f"lost its slot {MAX_LOSSES} times (its worker left)"}
    assert [record.name for record in failed].count("gblup") == 1
    assert len(failed) == 8 + 1
    assert {len(record.retries) for record in failed if record.kind == "network"} == {MAX_LOSSES - 1}
    assert len(slots.tasks) == 16 + MAX_LOSSES * len(failed)


def test_being_interrupted_is_not_counted_as_a_loss():
    assert count_loss({LOSSES: MAX_LOSSES - 1}, reason=INTERRUPTED, killed=False)[1] is None
    assert count_loss({LOSSES: MAX_LOSSES - 1}, reason="the supervisor died", killed=False)[1] is not None
    assert count_loss({}, reason="x", killed=True) == ({KILLS: 1}, None)
    assert count_loss({KILLS: 1, LOSSES: 3}, reason="x", killed=True)[0] == {KILLS: 2, LOSSES: 3}


def record_of(**fields):
    return TrialRecord(kind="network", name="toy-1", state="failed", **fields)


def test_five_unforeseen_errors_in_a_row_end_the_study_but_known_failures_are_given_more():
    unforeseen = record_of(reason="KeyError", traceback="Traceback ...")
    known = record_of(reason="the training loss was nan")
    assert faults.hopeless([unforeseen] * 4) == ""
    assert "Traceback" in faults.hopeless([unforeseen] * 5)
    assert faults.hopeless([known] * 19) == ""
    assert "20 trials failed in a row" in faults.hopeless([known] * 20)


def test_a_trial_that_never_reports_is_killed_after_the_grace_and_counted(search):
    class Hung(InProcess):
        killed = False

        def poll(self, timeout, on_report):
            time.sleep(0.01)
            if self.killed and self.waiting:
                return [Finished(task=self.waiting.popleft()["id"], outcome={"state": "lost", "reason": "died"})]
            return []

        def kill(self, task):
            self.killed = True

    assert search(Hung(), trials=1, trial_timeout=0.1, stop_grace=0.1) == "finished"
    (record,) = search.records
    assert record.state == "failed"
    assert "trial_timeout" in record.reason
    assert record.seconds >= 0.2


# -- the disk --------------------------------------------------------------------------------------------------------


def test_a_full_disk_in_a_worker_ends_the_study_and_the_same_command_resumes(search):
    full = {"state": "failed", "reason": "OSError: [Errno 28] No space left on device", "fault": DISK}
    with pytest.raises(OutputError, match="No space left"):
        search(Scripted(lambda task, number: done() if number < 3 else full), trials=4)
    assert search(Scripted(lambda task, number: done()), trials=4) == "finished"
    assert [record.state for record in search.records] == ["complete"] * 4


def test_a_full_disk_in_the_supervisor_ends_the_study_and_the_same_command_resumes(search, monkeypatch):
    append = RunFolder.append

    def full(self, record):
        if len(self.records()) == 2:
            msg = "trials.jsonl: cannot be written: No space left on device"
            raise OutputError(msg)
        append(self, record)

    monkeypatch.setattr(RunFolder, "append", full)
    with pytest.raises(OutputError, match="No space left"):
        search(Scripted(lambda task, number: done()), trials=4)
    monkeypatch.undo()
    assert search(Scripted(lambda task, number: done()), trials=4) == "finished"
    assert len(search.records) == len({str(record.params) for record in search.records}) == 4


@pytest.mark.parametrize("line", [b"garbage\n", b'{"op_code": 6, "wor\n'])
def test_a_damaged_middle_of_the_journal_is_named(search, tmp_path, line):
    search(Scripted(lambda task, number: done()), trials=2)
    lines = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(b"".join([*lines[:3], line, *lines[3:]]))
    with pytest.raises(StudyError, match=r"journal\.log"):
        search(Scripted(lambda task, number: done()), trials=2)


# -- clocks ----------------------------------------------------------------------------------------------------------


class Clocks:
    def __init__(self, monkeypatch):
        self.now = self.used = 100.0
        monkeypatch.setattr(steady.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(steady.time, "process_time", lambda: self.used)


def test_time_in_which_the_process_stood_still_is_not_charged(monkeypatch):
    clocks = Clocks(monkeypatch)
    clock = steady.SteadyClock()
    clocks.now += 3
    assert clock.now() == 3
    clocks.now += 3600  # stopped
    assert clock.now() == 3 + steady.LONGEST_GAP
    clocks.now, clocks.used = clocks.now + 40, clocks.used + 38  # busy in one call
    assert clock.now() == pytest.approx(3 + steady.LONGEST_GAP + 38)


def test_only_clocks_that_never_jump_decide_anything():
    """The wall clock may be shown and written down, but nothing may be computed from it."""
    shown = {"records.py:now", "final.py:_test", "nodes.py:_sweep"}
    tells = {"provenance.py", "database.py"}  # when it started; Optuna's own fields of a trial
    found = set()
    for file in (PACKAGE / "study").rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text())):
            if file.name not in tells and isinstance(function, ast.FunctionDef):
                text = ast.unparse(function)
                if re.search(r"\btime\.time\(\)|datetime\.(now|utcnow)\(", text):
                    found.add(f"{file.name}:{function.name}")
    assert found <= shown
    assert cluster.SETTINGS["distributed.scheduler.worker-ttl"] is None


def test_a_wall_clock_that_jumps_changes_nothing(search, monkeypatch):
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + (-1) ** next(jumps) * 1e6)
    assert search(InProcess(), trials=3, time_limit=60.0, trial_timeout=30.0) == "finished"
    assert [record.state for record in search.records] == ["complete"] * 3


# -- signals ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def hearing():
    """Hear a closed terminal, also where the tests themselves run under ``nohup``."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hearing")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_signal_asks_for_an_end_in_order(number):
    heard = []
    before = signal.getsignal(number)
    with on_interrupt(lambda: heard.append(number)):
        os.kill(os.getpid(), number)
        time.sleep(0.01)
    assert heard == [number]
    assert signal.getsignal(number) == before


def test_nohup_stays_in_force():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with on_interrupt(lambda: pytest.fail("it was to be ignored")):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hearing")
def test_a_closed_terminal_does_not_break_what_is_printed():
    """A script on a terminal that goes away ends in order, although its output has nowhere to go."""
    script = (
        "import sys, time\n"
        "from automl_pheno.study.interrupts import on_interrupt\n"
        "over = []\n"
        "with on_interrupt(lambda: over.append(1)):\n"
        "    print('ready', flush=True)\n"
        "    while not over: time.sleep(0.01)\n"
        "    print('in order', flush=True)\n"
        "open(sys.argv[1], 'w').write('in order')\n"
    )
    import pty
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "end"
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", script, str(file)])
        assert b"ready" in os.read(terminal, 100)
        os.close(terminal)  # the kernel sends SIGHUP
        os.waitpid(pid, 0)
        assert file.read_text() == "in order"


# -- the nanny's watch -----------------------------------------------------------------------------------------------


class FakeNanny:
    """What the watch reads of a nanny, with a process that the test ends."""

    def __init__(self, limit):
        self.memory_manager = type("Memory", (), {"memory_limit": limit})
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.worker_address = "tcp://here:1"
        self.loop = self
        self.said = []
        self.closed = False

    @property
    def pid(self):
        return self.process.pid if self.process.poll() is None else None

    @property
    def status(self):
        return type("Status", (), {"name": "closed" if self.closed else "running"})

    def add_callback(self, function, *arguments):
        function(*arguments)

    def log_event(self, topic, event):
        self.said.append(event)


@pytest.mark.parametrize(("limit", "of_memory"), [(2**20, True), (2**40, False)])
def test_a_nanny_says_whether_its_process_died_of_memory(monkeypatch, limit, of_memory):
    monkeypatch.setattr(nanny, "LOOK_EVERY", 0.02)
    fake = FakeNanny(limit)
    watch = threading.Thread(target=nanny._watch_process, args=(fake,), daemon=True)
    watch.start()
    time.sleep(0.2)
    fake.process.kill()
    fake.process.wait()
    end = time.monotonic() + 5
    while not fake.said:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert fake.said[0]["worker"] == "tcp://here:1"
    assert fake.said[0]["memory"] is of_memory
    fake.closed = True
    watch.join(5)
    assert not watch.is_alive()  # else it would take this process for a slot that cannot start, and end it


# -- real slots ------------------------------------------------------------------------------------------------------


@pytest.fixture
def slots(tmp_path, monkeypatch):
    """Return a function that starts real slots; what they import is in this folder."""
    from automl_pheno.study.slots.dask_executor import local_executor

    monkeypatch.setenv("PYTHONPATH", str(HERE))
    return lambda count=1, memory=8 * 2**30: local_executor(
        count, Machine(cores=count, gpus=(), memory=memory), "tensorflow", tmp_path / "logs"
    )


def processes():
    """Return the nannies and the workers of this process."""
    nannies = [
        child for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "dask" in " ".join(child.cmdline())
    ]  # fmt: skip
    return nannies, [each for child in nannies for each in child.children() if "spawn_main" in " ".join(each.cmdline())]


def in_background(search, *arguments, **fields):
    """Run the search in a thread; return a function that waits for its ending."""
    endings = []
    thread = threading.Thread(target=lambda: endings.append(search(*arguments, **fields)))
    thread.start()

    def ending():
        thread.join(120)
        assert not thread.is_alive()
        return endings[0]

    return ending


@pytest.mark.slow
def test_a_process_beyond_its_limit_is_tried_with_half_the_batch(search, slots):
    with slots(1, memory=int(1.1 * 2**30)) as executor:
        assert search(executor, trials=5, function="study_trials:hungry") == "finished"
    assert [record.state for record in search.records] == ["complete"] * 5
    repeated = [record for record in search.records if record.retries]
    assert repeated
    assert all("1/2 of its batch size" in record.reason for record in repeated)
    assert any("died of the memory it took" in text for text in search.heard.messages)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["worker", "nanny", "both"])
def test_a_killed_slot_starts_anew_and_its_trial_is_put_back(search, slots, who):
    with slots(2) as executor:
        ending = in_background(
            search, executor, trials=6, function="study_trials:slow", common={"sleep": 0.1, "epochs": 9}
        )
        wait_for(lambda: hasattr(search, "folder") and search.folder.records())
        nannies, workers = processes()
        for process in {"worker": workers[:1], "nanny": nannies[:1], "both": [nannies[0], workers[0]]}[who]:
            process.kill()
        assert ending() == "finished"
    assert [record.state for record in search.records] == ["complete"] * 6
    assert len({record.trial for record in search.records}) == 6
    assert any("it is put back" in text for text in search.heard.messages)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["worker", "nanny"])
def test_a_stopped_process_is_killed_after_the_time_out_and_counted_with_its_reason(search, slots, who):
    with slots(1) as executor:
        ending = in_background(
            search, executor, trials=2, function="study_trials:slow", common={"sleep": 0.1}, trial_timeout=6.0,
            stop_grace=2.0,
        )  # fmt: skip
        wait_for(lambda: hasattr(search, "supervisor") and search.supervisor._running)
        time.sleep(1.0)
        nannies, workers = processes()
        (workers if who == "worker" else nannies)[0].send_signal(signal.SIGSTOP)
        if who == "nanny":
            workers[0].send_signal(signal.SIGSTOP)
        assert ending() == "finished"
    assert len(search.records) == 2
    assert "trial_timeout" in search.records[0].reason
    assert search.records[1].state == "complete"


@pytest.mark.slow
def test_slots_that_cannot_start_end_the_study_with_the_end_of_their_log(slots, tmp_path, monkeypatch):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "distributed.py").write_text("raise ImportError('libcudart.so.99 is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    with pytest.raises(StudyError, match=r"(?s)slot-0 ended 5 times in a row.*libcudart\.so\.99 is missing"), slots():
        pass


@pytest.mark.slow
def test_a_study_under_random_faults_ends_with_exactly_its_trials(repository):
    """One seed of ``benchmarks/chaos.py``, where what is checked afterwards is told."""
    command = [sys.executable, str(repository / "benchmarks" / "chaos.py"), "--quick", "--first", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "none lost: 1 of 1" in done.stdout
    assert re.search(r"seed 3: [1-9]\d* faults", done.stdout)
