"""Several supervisors on one study: exact counts, leases, ends, and what the database may not show."""

from __future__ import annotations

import itertools
import json

import optuna
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy.pool import StaticPool

from automl_pheno.errors import StudyError
from automl_pheno.study.config import make_study
from automl_pheno.study.proposals import params_key
from automl_pheno.study.records import COUNTED, TrialRecord
from automl_pheno.study.storage.address import explain_failure, normalise, redact
from automl_pheno.study.storage.book import OUTCOME
from automl_pheno.study.storage.database import ConnectionLostError, SharedStorage
from automl_pheno.study.storage.leases import PREFIX, Leases
from automl_pheno.study.storage.marks import CLAIMED, RECORD
from automl_pheno.study.storage.shared import SharedBook

# -- URLs and passwords ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:secret@host:5432/db", "postgresql://ann@host:5432/db"),
        ("postgresql://ann:se@cr/et{}@host/db", "postgresql://ann@host/db"),
        ("postgresql://ann@host/db", "postgresql://ann@host/db"),
        ("postgresql://host/db?user=ann&password=secret", "postgresql://host/db?user=ann"),
        ("postgresql://host/db?password=secret&sslmode=require", "postgresql://host/db?sslmode=require"),
        ("x --storage postgresql://ann:secret@host/db --trials 3", "x --storage postgresql://ann@host/db --trials 3"),
        ("mail ann@host: 3 trials", "mail ann@host: 3 trials"),
    ],
)
def test_passwords_are_left_out(url, shown):
    assert redact(url) == shown


def test_a_study_file_never_holds_the_password():
    config = make_study(space="space.yaml", storage="postgresql://ann:secret@host/db")
    assert config.storage == "postgresql://ann:secret@host/db"
    assert "secret" not in config.to_yaml()
    assert "postgresql://ann@host/db" in config.to_yaml()
    assert "secret" not in json.dumps(config.model_dump(mode="json"))
    with pytest.raises(StudyError, match="must be the URL of a database") as caught:
        make_study(space="space.yaml", storage="postgres//ann:secret@host/db")
    assert "postgres//" in str(caught.value)


def test_urls():
    assert normalise("postgres://ann@host/db") == "postgresql+psycopg://ann@host/db"
    assert normalise("postgresql+psycopg://ann@host/db") == "postgresql+psycopg://ann@host/db"
    with pytest.raises(StudyError, match="SQLite locks the whole file"):
        normalise("sqlite:///study.db")
    with pytest.raises(StudyError, match=r"must be postgresql://USER@HOST/NAME; known: postgresql") as caught:
        normalise("postgresq://ann:secret@host/db")
    assert "secret" not in str(caught.value)
    with pytest.raises(StudyError, match=r"needs the package no_such_driver: pip install"):
        normalise("postgresql+no_such_driver://ann@host/db")


def test_an_unknown_refusal_is_shown_without_the_password():
    assert explain_failure("postgresql://ann:secret@h/d", ValueError("x\nbad postgresql://ann:secret@h/d")) == (
        "postgresql://ann@h/d: bad postgresql://ann@h/d"
    )


# -- leases ------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def said(beat, doing="searching"):
    return {"beat": beat, "doing": doing, "in_process": False}


def test_who_stops_counting_is_dead_after_the_lease():
    clock = Clock()
    leases = Leases("me", lease=60.0, clock=clock)
    assert leases.is_alive("me")
    assert not leases.is_alive("never announced")
    for second in range(0, 61, 5):
        clock.now = float(second)
        leases.look({f"{PREFIX}a": said(second), f"{PREFIX}b": said(1), f"{PREFIX}c": said(1, "ended"), "other": 1})
        assert leases.is_alive("a")
        assert leases.is_alive("b") == (second < 60)
        assert not leases.is_alive("c")
    assert leases.others("searching") == ["a"]
    leases.look({f"{PREFIX}b": said(2)})
    assert leases.is_alive("b")  # it was only asleep


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_sleep_of_the_observer_and_jumps_are_not_silence_of_others(jump):
    clock = Clock()
    leases = Leases("me", lease=60.0, clock=clock)
    leases.look({f"{PREFIX}a": said(1)})
    clock.now += jump
    leases.look({f"{PREFIX}a": said(1)})
    assert leases.is_alive("a")


# -- several books on one study ------------------------------------------------------------------------------------


class Ledger:
    def __init__(self):
        self.kept = []

    def records(self):
        return self.kept

    def append(self, record):
        assert record.name not in [other.name for other in self.kept]
        self.kept.append(record)


def make_database():
    """Return a maker of storages that see the same database in memory, one for each supervisor."""
    options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    first = SharedStorage("sqlite://", engine_kwargs=options)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(storage=first, study_name="toy", direction="maximize")

    def connect(supervisor, **options):
        storage = SharedStorage.__new__(SharedStorage)
        storage.__dict__.update(first.__dict__)
        storage.supervisor = supervisor
        storage.patience = options.get("patience", 0.0)
        return storage

    return connect


class Member:
    """A supervisor without slots: the book, its trials in flight, and a lease that the test moves."""

    def __init__(self, connect, number, folder):
        self.storage = connect(f"host:{number}:{number}")
        self.study = optuna.load_study(
            study_name="toy", storage=self.storage, sampler=optuna.samplers.RandomSampler(seed=number % 2)
        )
        self.ledger = Ledger()
        self.book = SharedBook(
            self.study, self.storage, self.ledger, name="toy", higher_is_better=True, folder=folder, lease=60.0
        )
        self.clock = Clock()
        self.book._leases._clock = self.clock
        self.claimed = []
        self.beats = 0
        self.beat()

    def beat(self, doing="searching"):
        self.beats += 1
        self.storage.set_study_system_attr(self.study._study_id, f"{PREFIX}{self.book.id}", said(self.beats, doing))

    def look(self):
        self.book._looked = -10.0
        return self.book.refresh()

    def close(self, trial, state="complete"):
        record = TrialRecord(
            kind="network", name=f"toy-{trial.number}", state=state, trial=trial.number, params=dict(trial.params),
            value=0.5 if state == "complete" else None,
        )  # fmt: skip
        return self.book.close(record, trial)


TARGET = 4


class Crowd(RuleBasedStateMachine):
    """Three supervisors that ask, claim, end, put back, fall asleep, die and are given up, in any order."""

    @initialize(queued=st.integers(0, 3))
    def begin(self, queued):
        import tempfile
        from pathlib import Path

        self.folder = Path(tempfile.gettempdir())
        self.connect = make_database()
        self.numbers = itertools.count()
        self.members = [self.join() for _ in range(3)]
        self.asleep = []
        for value in range(queued):
            self.members[0].study.enqueue_trial({"x": value})

    def join(self):
        return Member(self.connect, next(self.numbers), self.folder)

    def trials(self):
        return self.members[0].study.get_trials(deepcopy=False)

    def member(self, data):
        return data.draw(st.sampled_from(self.members))

    @rule(data=st.data())
    def ask(self, data):
        member = self.member(data)
        if member.book.counted + member.book.open_elsewhere() + len(member.claimed) >= TARGET:
            return
        trial = member.book.ask()
        trial.suggest_int("x", 0, 9)
        fate = data.draw(st.sampled_from(["claim", "claim", "claim", "infeasible", "discard", "forget"]))
        if fate == "infeasible":
            assert member.close(trial, "infeasible")
        elif fate == "discard":
            member.book.discard(trial, "duplicate")
        elif fate == "claim" and member.book.claim(trial, TARGET):
            member.claimed.append(trial)

    @precondition(lambda self: any(member.claimed for member in self.members + self.asleep))
    @rule(data=st.data(), state=st.sampled_from(COUNTED))
    def end(self, data, state):
        member = data.draw(st.sampled_from([member for member in self.members + self.asleep if member.claimed]))
        trial = member.claimed.pop()
        was_mine = member.book.frozen(trial).state == optuna.trial.TrialState.RUNNING
        before = len(member.ledger.kept)
        assert member.close(trial, state) == was_mine  # who comes back too late hears False
        assert len(member.ledger.kept) - before == was_mine

    @precondition(lambda self: any(member.claimed for member in self.members))
    @rule(data=st.data())
    def put_back(self, data):
        member = data.draw(st.sampled_from([member for member in self.members if member.claimed]))
        assert member.book.put_back(member.claimed.pop(), reason="a worker died", killed=False) is None

    @precondition(lambda self: len(self.members) > 1)
    @rule(data=st.data())
    def fall_silent(self, data):
        member = self.member(data)
        self.members.remove(member)
        self.asleep.append(member)
        self.give_up()

    @precondition(lambda self: self.asleep)
    @rule(data=st.data())
    def wake_up(self, data):
        member = data.draw(st.sampled_from(self.asleep))
        self.asleep.remove(member)
        self.members.append(member)
        member.beat()

    @precondition(lambda self: len(self.members) < 3)
    @rule()
    def newcomer(self):
        self.members.append(self.join())

    def give_up(self):
        """Let the living see each other beat, and the others not, for a lease."""
        for second in range(0, 71, 10):
            for member in self.members:
                member.beat()
                member.clock.now += 10.0 if second else 0.0
            for member in self.members:
                member.look()

    @invariant()
    def never_too_many(self):
        if not hasattr(self, "connect"):
            return
        kept = [
            trial
            for trial in self.trials()
            if (trial.state == optuna.trial.TrialState.RUNNING and CLAIMED in trial.system_attrs)
            or (trial.state.is_finished() and trial.user_attrs[OUTCOME] in COUNTED)
        ]
        assert len(kept) <= TARGET
        assert len({params_key(trial.params) for trial in kept}) == len(kept)
        for trial in self.trials():
            told = RECORD in trial.system_attrs
            assert told == (trial.state.is_finished() and trial.user_attrs[OUTCOME] in (*COUNTED, "infeasible"))

    def teardown(self):
        """Whatever happened, one supervisor that is left ends the study with the exact number."""
        if not hasattr(self, "connect"):
            return
        last = self.join()
        self.members, self.asleep = [last], []
        self.give_up()
        for _ in range(200):
            if last.book.counted >= TARGET:
                break
            trial = last.book.ask()
            trial.suggest_int("x", 0, 9)
            if last.book.claim(trial, TARGET):
                assert last.close(trial)
        last.look()
        assert last.book.counted == TARGET
        assert last.book.open_elsewhere() == 0
        assert not [trial for trial in self.trials() if trial.state == optuna.trial.TrialState.RUNNING]


def machine(examples, steps):
    kind = type("Machine", (Crowd.TestCase,), {})
    kind.settings = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    return kind


TestTheCountIsExactWhateverHappens = machine(2, 8)
TestTheCountIsExactWhateverHappensForLong = pytest.mark.slow(machine(30, 40))


@pytest.fixture
def members(tmp_path):
    connect = make_database()
    return [Member(connect, number, tmp_path) for number in range(2)]


def ask(member, value):
    member.study.enqueue_trial({"x": value})
    trial = member.book.ask()
    trial.suggest_int("x", 0, 9)
    return trial


def test_the_same_parameters_are_not_trained_twice(members):
    first, second = ask(members[0], 3), ask(members[1], 3)
    assert members[0].book.claim(first, 9)
    assert not members[1].book.claim(second, 9)
    assert members[1].book.frozen(second).user_attrs["duplicate_of"] == "toy-0"
    assert members[1].book.open_elsewhere() == 1
    assert members[1].book.taken() == {params_key({"x": 3}): "toy-0"}


def test_records_reach_the_other_supervisor(members):
    trial = ask(members[0], 3)
    assert members[0].book.claim(trial, 9)
    assert members[0].close(trial)
    (heard,) = members[1].look()
    assert heard == members[0].ledger.kept[0]
    assert heard.supervisor == "host:0:0"
    assert members[1].book.counted == 1
    assert members[1].look() == []


def test_a_surplus_trial_of_the_queue_goes_back_into_it(members):
    trial = ask(members[0], 3)
    assert not members[0].book.claim(trial, 0)
    states = [trial.state.name for trial in members[0].study.get_trials()]
    assert states == ["FAIL", "WAITING"]


def test_a_baseline_is_fitted_by_one_supervisor_and_by_another_if_that_one_dies(members):
    first, second = members
    assert first.book.claim_baseline("ridge")
    assert not second.book.claim_baseline("ridge")
    second.beat()
    for _ in range(8):
        second.clock.now += 10.0
        second.look()
    assert second.book.claim_baseline("ridge")
    record = TrialRecord(kind="baseline", name="ridge", state="complete", value=0.25)
    assert second.book.close(record, None)
    assert not first.book.close(record, None)  # it comes back, and its result is dropped
    assert not first.book.claim_baseline("ridge")
    assert [heard.name for heard in first.look()] == ["ridge"]


def test_the_test_set_is_opened_once(members):
    first, second = members
    assert first.book.claim_test(counted_out=False).state == "searching"
    assert first.book.claim_test(counted_out=True).state == "mine"
    theirs = second.book.claim_test(counted_out=True)
    assert (theirs.state, theirs.by) == ("theirs", "host:0:0")
    first.book.finish()  # it failed: another one may try
    assert second.book.claim_test(counted_out=True).state == "mine"
    assert not first.book.publish_test({"winner": 1})
    assert second.book.publish_test({"winner": 2})
    done = first.book.claim_test(counted_out=True)
    assert (done.state, done.result) == ("done", {"winner": 2})
    first.book.finish()
    second.book.finish()


def test_what_the_database_did_not_take_is_told_at_the_next_start(members, tmp_path, monkeypatch):
    first = members[0]
    trial = ask(first, 3)
    assert first.book.claim(trial, 9)

    def lost(*_):
        message = "the database is lost"
        raise ConnectionLostError(message)

    with monkeypatch.context() as patch:
        patch.setattr(first.storage, "settle", lost)
        with pytest.raises(StudyError, match="the database is lost"):
            first.close(trial)
    assert (tmp_path / "pending.jsonl").exists()
    assert first.ledger.kept == []
    again = Member(lambda *_: first.storage, 0, tmp_path)
    again.storage.supervisor = again.book.id = "host:0:new"
    again.book._previous = ("host:0:0",)
    assert again.book.start(killed=False) == []
    again.book.finish()
    assert [record.name for record in again.ledger.kept] == ["toy-0"]
    assert again.book.counted == 1
    assert [trial.state.name for trial in again.study.get_trials()] == ["COMPLETE"]
    assert not (tmp_path / "pending.jsonl").exists()


def test_plain_optuna_beside_it_is_left_alone(members):
    members[0].storage.supervisor = ""
    running = members[0].study.ask()
    members[0].storage.supervisor = "host:0:0"
    for _ in range(8):
        members[1].clock.now += 10.0
        members[1].look()
    assert members[1].study.get_trials()[running.number].state.name == "RUNNING"
    assert members[1].book.open_elsewhere() == 0
