"""How tasks and reports travel between the supervisor and the slots of this machine."""

from __future__ import annotations

import json
import queue
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_pheno.study.slots.graph import GraphWire
from automl_pheno.study.slots.line import Line
from automl_pheno.study.slots.lines import LINE, LONGEST_HELLO, TOKEN, LineWire, Splitter, as_line, listen
from automl_pheno.study.slots.reports import GATHER, SEND_EVERY, Reports
from automl_pheno.study.slots.wires import Inbox

ADDRESS = "tcp://127.0.0.1:1"


@pytest.fixture
def inbox():
    inbox = Inbox()
    yield inbox
    inbox.close()


@pytest.fixture
def listening():
    return listen()


@pytest.fixture
def environment(listening):
    return listening[1]


@pytest.fixture
def wire(inbox, listening):
    wire = LineWire(inbox, *listening)
    yield wire
    wire.close()


@pytest.fixture
def call(inbox, wire, environment):
    """Return a function that makes a worker's line."""
    lines = []

    def call():
        line = Line(environment[LINE])
        lines.append(line)
        line.say({"worker": ADDRESS, "token": environment[TOKEN]})
        assert wait(inbox, lambda: wire.reaches(ADDRESS))
        return line

    yield call
    for line in lines:
        line.close()


def wait(inbox, true, seconds=10.0):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        inbox.pump(0.05)
    return true()


def news(inbox, seconds=10.0):
    """Return the next event that is not of a caller."""
    while True:
        what, content = inbox.get(seconds)
        if what != "news":
            return what, content


# -- what arrives ----------------------------------------------------------------------------------------------------


def test_an_empty_inbox_waits_as_long_as_it_is_told(inbox):
    started = time.monotonic()
    with pytest.raises(queue.Empty):
        inbox.get(0.2)
    assert time.monotonic() - started >= 0.19


def test_what_another_thread_puts_in_wakes_the_reader(inbox):
    threading.Timer(0.1, inbox.put, ("removed", "a")).start()
    started = time.monotonic()
    assert inbox.get(30.0) == ("removed", "a")
    assert time.monotonic() - started < 10.0


def test_more_rings_than_a_socket_holds(inbox):
    for number in range(100_000):
        inbox.put("news", number)
    assert [inbox.get(0.0)[1] for _ in range(100_000)] == list(range(100_000))
    with pytest.raises(queue.Empty):
        inbox.get(0.0)


def test_the_last_word_of_a_process_comes_before_the_news_of_its_end(inbox, wire, call):
    line = call()
    line.say({"task": "t#1", "slot": "here:1", "reports": [[1, 0.5]], "outcome": "{}"})
    line.close()
    inbox.put("removed", ADDRESS)
    assert [news(inbox)[0] for _ in range(2)] == ["report", "removed"]
    assert wait(inbox, lambda: not wire.reaches(ADDRESS))


# -- lines -----------------------------------------------------------------------------------------------------------


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none())), st.data())
def test_objects_survive_being_cut_into_pieces(contents, data):
    whole, splitter, found = b"".join(map(as_line, contents)), Splitter(), []
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        found += splitter.split(whole[:size])
        whole = whole[size:]
    assert found == contents
    assert not splitter.rest


def test_a_task_goes_there_and_its_reports_come_back(inbox, wire, call):
    line = call()
    wire.send("t#1", {"id": "t#1", "value": float("inf")}, ADDRESS)
    assert line.next() == {"id": "t#1", "value": float("inf")}
    line.say({"task": "t#1", "slot": "here:1", "reports": [[0, float("nan")], [1, 0.5]]})
    what, (_, content) = news(inbox)
    assert (what, content["task"], content["reports"][1]) == ("report", "t#1", [1, 0.5])


def test_only_the_named_task_is_stopped(inbox, wire, call):
    line = call()
    wire.stop("t#1", ADDRESS)
    assert wait(inbox, lambda: line.is_stopped("t#1"))
    assert not line.is_stopped("t#2")
    line.ended("t#1")
    assert not line.is_stopped("t#1")


def test_a_task_whose_supervisor_has_gone_is_stopped(inbox, wire, call):
    line = call()
    for open_line in list(wire._lines.values()):
        open_line.socket.close()
    assert wait(inbox, lambda: line.is_stopped("t#1"))
    assert line.next() is None
    assert not line.is_over


def test_a_supervisor_that_ends_says_so(inbox, wire, call):
    line = call()
    wire.close()
    assert line.next() is None
    assert line.is_over
    line.say({"task": "t#1"})  # nobody hears it, nothing is raised


def test_a_process_that_does_not_read_holds_nobody_up_and_gets_all_in_the_end(inbox, wire, call):
    line = call()
    tasks = [{"id": f"t#{number}", "text": "x" * 2**20} for number in range(16)]
    started = time.monotonic()
    for task in tasks:
        wire.send(task["id"], task, ADDRESS)
    assert time.monotonic() - started < 5.0
    found: list[dict] = []
    reader = threading.Thread(target=lambda: found.extend(line.next() for _ in tasks), daemon=True)
    reader.start()
    assert wait(inbox, lambda: not reader.is_alive(), 30.0)
    assert found == tasks


def test_no_task_for_a_worker_that_has_gone(wire):
    with pytest.raises(ConnectionError, match=ADDRESS):
        wire.send("t#1", {"id": "t#1"}, ADDRESS)
    wire.stop("t#1", ADDRESS)
    assert not wire.reaches(ADDRESS)


@pytest.mark.parametrize(
    "hello",
    [
        as_line({"worker": ADDRESS, "token": "wrong"}),
        as_line({"worker": ADDRESS}),
        as_line({"worker": ADDRESS, "token": 7}),
        as_line(["x"]),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xfe\n",
        b"x" * (LONGEST_HELLO + 1),
        b"[" * (LONGEST_HELLO - 1) + b"\n",
    ],
)
def test_strangers_are_hung_up_on(inbox, wire, call, environment, hello):
    host, _, port = environment[LINE].rpartition(":")
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(hello)
        stranger.setblocking(False)

        def closed():
            try:
                return stranger.recv(1) == b""
            except BlockingIOError:
                return False
            except ConnectionError:
                return True

        assert wait(inbox, closed)
    assert not wire.reaches(ADDRESS)
    assert wire._callers == []
    call()  # others are served as before


def test_a_stranger_cannot_put_in_a_report(inbox, wire, environment):
    host, _, port = environment[LINE].rpartition(":")
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(as_line({"task": "t#1", "slot": "", "reports": [], "outcome": "{}"}))
        assert not wait(inbox, lambda: bool(inbox._said), 0.5)


# -- Dask's graph ----------------------------------------------------------------------------------------------------


class Future:
    """A task of Dask's that is done when the test says so."""

    def __init__(self, result):
        self.result_of = result
        self.cancelled = False

    def add_done_callback(self, call):
        self.done = lambda: call(self)

    def result(self, timeout):
        return self.result_of()

    def cancel(self):
        self.cancelled = True


class Client:
    def __init__(self, *results):
        self.futures = [Future(result) for result in results]
        self.sent = iter(self.futures)

    def submit(self, function, task, **options):
        return next(self.sent)


def unreachable():
    message = "no answer"
    raise TimeoutError(message)


def test_an_outcome_is_fetched_beside_the_search_which_does_not_wait(inbox):
    answers = threading.Event()
    client = Client(lambda: answers.wait(30) and {"state": "complete"})
    wire = GraphWire(client, inbox)
    wire.send("t#1", {"id": "t#1"}, ADDRESS)
    client.futures[0].done()
    assert inbox.get(5.0) == ("done", "t#1")
    started = time.monotonic()
    wire.fetch("t#1")
    assert time.monotonic() - started < 5.0
    with pytest.raises(queue.Empty):
        inbox.get(0.1)
    answers.set()
    assert inbox.get(30.0) == ("outcome", ("t#1", {"state": "complete"}))


def test_an_outcome_that_was_told_is_not_fetched_and_its_task_not_cancelled(inbox):
    client = Client(unreachable)
    wire = GraphWire(client, inbox)
    wire.send("t#1", {"id": "t#1"}, ADDRESS)
    wire.told("t#1")
    client.futures[0].done()
    assert inbox.get(5.0) == ("done", "t#1")
    wire.fetch("t#1")
    with pytest.raises(queue.Empty):
        inbox.get(0.2)
    assert not client.futures[0].cancelled


def test_whatever_happens_instead_of_an_outcome_is_handed_on_and_what_is_given_up_is_cancelled(inbox):
    client = Client(unreachable, unreachable, unreachable)
    wire = GraphWire(client, inbox)
    for name in ("t#1", "t#2", "t#3"):
        wire.send(name, {"id": name}, ADDRESS)
    wire.fetch("t#1")
    what, (name, error) = inbox.get(30.0)
    assert (what, name, str(error)) == ("error", "t#1", "no answer")
    wire.drop("t#2", ADDRESS)
    assert [future.cancelled for future in client.futures] == [False, True, False]
    wire.close()
    assert client.futures[2].cancelled


# -- reports ---------------------------------------------------------------------------------------------------------


class Loop:
    """A loop whose clock is moved by hand."""

    def __init__(self):
        self.calls = []

    def add_callback(self, function, *arguments):
        function(*arguments)

    def call_later(self, wait, function):
        self.calls.append((wait, function))

    def run(self):
        calls, self.calls = self.calls, []
        for _, function in calls:
            function()


def test_reports_that_come_close_together_travel_together():
    sent, loop = [], Loop()
    reports = Reports(sent.append, loop, task="t#1", slot="here:1")
    for step in range(4):
        reports.add(step, step / 2)
    assert sent == []
    [(wait, _)] = loop.calls
    assert SEND_EVERY / 2 < wait <= SEND_EVERY
    loop.run()
    assert sent == [{"task": "t#1", "slot": "here:1", "reports": [(step, step / 2) for step in range(4)]}]


def test_a_late_report_waits_a_moment_for_the_outcome_and_leaves_with_it():
    sent, loop = [], Loop()
    reports = Reports(sent.append, loop, task="t#1", slot="here:1")
    reports._sent -= 10.0
    reports.add(7, 0.5)
    assert [wait for wait, _ in loop.calls] == [GATHER]
    reports.send(json.dumps({"state": "complete"}))
    loop.run()
    assert sent == [{"task": "t#1", "slot": "here:1", "reports": [(7, 0.5)], "outcome": '{"state": "complete"}'}]
