"""Optuna's database storage for several supervisors: owners of trials, ends in one transaction, and patience."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import optuna
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState

from automl_pheno.errors import StudyError
from automl_pheno.study.storage.address import CONNECT, explain_failure, normalise

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SUPERVISOR = "supervisor"
"""User attribute of a trial: id of the supervisor that has, or had, it."""

STANDSTILL = 15.0
"""Seconds after which the server breaks a transaction off in which nothing happens."""

SETTLED_BY = "settled_by"
"""User attribute of an ended trial: id of the supervisor that ended it."""

PATIENCE = 300.0
"""Seconds for which a lost connection is tried again."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_SCHEMA_LOCK = 6_020_104_417  # of all supervisors of this package, while tables are made

_Result = TypeVar("_Result")


def _unheard(message: str) -> None:
    """Where nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a running trial ends.

    Attributes
    ----------
    owner
        Supervisor that has it.
    state, value
        Of Optuna.
    user_attrs, system_attrs
        What is added to it.
    repeat
        The trial that goes into the queue instead.
    """

    owner: str
    state: TrialState
    value: float | None = None
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    repeat: FrozenTrial | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt(Generic[_Result]):
    result: _Result | None = None
    lost: Exception | None = None


class StudyRow:
    """The system attributes of a study while its row is locked."""

    def __init__(self, study: models.StudyModel, session: Session) -> None:
        self._study = study
        self._session = session

    def get(self, key: str) -> Any:
        """Return the value, or None."""
        found = models.StudySystemAttributeModel.find_by_study_and_key(self._study, key, self._session)
        return None if found is None else json.loads(str(found.value_json))

    def set(self, key: str, value: Any) -> None:
        """Set a value; kept if the block of `SharedStorage.locked` ends without an error."""
        kind = models.StudySystemAttributeModel
        found = kind.find_by_study_and_key(self._study, key, self._session)
        if found is None:
            self._session.add(kind(study_id=self._study.study_id, key=key, value_json=json.dumps(value)))
        else:
            found.value_json = json.dumps(value)


class SharedStorage(RDBStorage):
    """A database that several supervisors write.

    Every trial that becomes RUNNING carries the id of the supervisor that took it, set in the same transaction. It
    ends by `settle`, which changes nothing unless the trial still runs for the expected owner: of a supervisor that
    comes back after it was given up and the one that gave it up, exactly one has the say. A statement that fails
    because the connection is lost is tried again for `patience` seconds; each can be done twice.

    Parameters
    ----------
    url
        As `normalise` returns it.
    supervisor
        Id of this one; "" for a reader.
    patience
        Seconds.
    hear
        Hears of a lost connection, once.
    engine_kwargs
        Of SQLAlchemy.
    """

    def __init__(
        self,
        url: str,
        *,
        supervisor: str = "",
        patience: float = PATIENCE,
        hear: Callable[[str], None] = _unheard,
        engine_kwargs: dict[str, Any] | None = None,
    ) -> None:
        self.supervisor = supervisor
        self.patience = patience
        self._hear = hear
        self._local = threading.local()
        super().__init__(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=engine_kwargs)
        if self.engine.dialect.name == "postgresql":
            self._limit_pauses()

    def _limit_pauses(self) -> None:
        """Have the server break off what stands still: a supervisor stopped in a transaction would stop all others."""
        from sqlalchemy import event

        @event.listens_for(self.engine, "connect")
        def limit(connection: Any, _: Any) -> None:
            with connection.cursor() as cursor:
                cursor.execute(f"SET idle_in_transaction_session_timeout = {int(STANDSTILL * 1000)}")
            connection.commit()

        self.engine.dispose()  # connections that were made before

    # -- what is new ---------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, study_id: int) -> Iterator[StudyRow]:
        """Hold the study's row, as Optuna does to number a trial; others that want it wait for these milliseconds."""
        from sqlalchemy.orm import Session

        # A session of its own: that of the thread ends its transaction with each of Optuna's operations.
        with Session(self.engine) as session, session.begin():
            yield StudyRow(models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True), session)

    def change(self, study_id: int, change: Callable[[StudyRow], _Result]) -> _Result:
        """Return ``change(row)`` with the study's row locked; it is called again if the connection is lost."""

        def attempt() -> _Result:
            with self.locked(study_id) as row:
                return change(row)

        return self.patiently(attempt)

    def close(self) -> None:
        """Close the connections."""
        self.remove_session()
        self.engine.dispose()

    def settle(self, study_id: int, trial_id: int, end: End) -> bool:
        """End a trial if it still runs for its owner; False, and nothing is changed, if it does not."""
        return self.patiently(lambda: self._settle(study_id, trial_id, end))

    def _settle(self, study_id: int, trial_id: int, end: End) -> bool:
        with _create_scoped_session(self.scoped_session) as session:
            if end.repeat is not None:  # in the order in which Optuna locks them
                models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
            if trial.state.is_finished():  # by an attempt of ours whose answer was lost?
                return bool(self._attribute(trial, SETTLED_BY, session) == self.supervisor)
            if trial.state != TrialState.RUNNING or self._attribute(trial, SUPERVISOR, session) != end.owner:
                return False
            for key, value in {**end.user_attrs, SETTLED_BY: self.supervisor}.items():
                self._set_trial_attr_without_commit(session, models.TrialUserAttributeModel, trial_id, key, value)
            for key, value in end.system_attrs.items():
                self._set_trial_attr_without_commit(session, models.TrialSystemAttributeModel, trial_id, key, value)
            if end.value is not None:
                self._set_trial_value_without_commit(session, trial, 0, end.value)
            trial.state = end.state
            trial.datetime_complete = datetime.now()  # naive local time, which Optuna turns into UTC
            if end.repeat is not None:
                self._get_prepared_new_trial(study_id, end.repeat, session)
        return True

    def mark_if_mine(self, trial_id: int, key: str) -> bool:
        """Set a system attribute of a trial that runs for this supervisor to true; False if it does not."""

        def attempt() -> bool:
            with _create_scoped_session(self.scoped_session) as session:
                trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
                owner = self._attribute(trial, SUPERVISOR, session)
                if trial.state != TrialState.RUNNING or owner != self.supervisor:
                    return False
                self._set_trial_attr_without_commit(session, models.TrialSystemAttributeModel, trial_id, key, True)  # noqa: FBT003 - a value
            return True

        return self.patiently(attempt)

    def patiently(self, attempt: Callable[[], _Result]) -> _Result:
        """Return ``attempt()``, tried again while the connection is lost.

        Raises
        ------
        StudyError
            It was lost for longer than `patience`.
        """
        if getattr(self._local, "trying", False):
            return attempt()
        began, pause, said = time.monotonic(), _FIRST_PAUSE, False
        while (done := self._try(attempt)).lost is not None:
            waited, why = time.monotonic() - began, explain_failure(str(self.url), done.lost)
            if waited >= self.patience:
                msg = f"{why}; tried for {waited:.0f} s, nothing was lost: resume with the same command"
                raise ConnectionLostError(msg) from done.lost
            if not said:
                self._hear(f"the database is lost ({why}); trying again for {self.patience:.0f} s")
                said = True
            time.sleep(min(pause, max(self.patience - waited, 0.01)))
            pause = min(2 * pause, _LONGEST_PAUSE)
        if said:
            self._hear("the database answers again")
        return done.result  # type: ignore[return-value] # there is one where nothing was lost

    def _try(self, attempt: Callable[[], _Result]) -> _Attempt[_Result]:
        try:
            with self.once():
                return _Attempt(result=attempt())
        except Exception as error:
            if not _is_lost(error):
                raise
            return _Attempt(lost=error)

    @contextlib.contextmanager
    def once(self) -> Iterator[None]:
        """Try each statement of this thread only once inside the block."""
        before = getattr(self._local, "trying", False)
        self._local.trying = True
        try:
            yield
        finally:
            self._local.trying = before

    def _attribute(self, trial: models.TrialModel, key: str, session: Session) -> Any:
        found = models.TrialUserAttributeModel.find_by_trial_and_key(trial, key, session)
        return None if found is None else json.loads(str(found.value_json))

    # -- what Optuna does, with the owner --------------------------------------------------------------------------

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        trial = super()._get_prepared_new_trial(study_id, template_trial, session)
        if template_trial is None and self.supervisor:
            self._set_trial_attr_without_commit(
                session, models.TrialUserAttributeModel, int(trial.trial_id), SUPERVISOR, self.supervisor
            )
        return trial

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        """See `RDBStorage`; a trial taken from the queue gets its owner in the same transaction."""
        if state != TrialState.RUNNING or not self.supervisor:
            return self.patiently(lambda: RDBStorage.set_trial_state_values(self, trial_id, state, values))
        return self.patiently(lambda: self._take(trial_id))

    def _take(self, trial_id: int) -> bool:
        with _create_scoped_session(self.scoped_session) as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
            self.check_trial_is_updatable(trial_id, trial.state)  # type: ignore[arg-type] # the ORM's value
            if trial.state != TrialState.WAITING:  # ours if the answer to the first attempt was lost
                return bool(self._attribute(trial, SUPERVISOR, session) == self.supervisor)
            trial.state = TrialState.RUNNING
            trial.datetime_start = datetime.now()  # naive local time, which Optuna turns into UTC
            self._set_trial_attr_without_commit(
                session, models.TrialUserAttributeModel, trial_id, SUPERVISOR, self.supervisor
            )
        return True


class ConnectionLostError(StudyError):
    """The database did not answer for as long as one has patience."""


def _is_lost(error: BaseException) -> bool:
    """Return whether trying again may help: the server is away, restarts, or broke off one of two transactions."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

    cause = error.__cause__ if isinstance(error, optuna.exceptions.StorageInternalError) else error
    # The last is what Optuna gets that goes on with the session of a statement that broke off.
    lost = isinstance(cause, (OperationalError, InterfaceError, PoolTimeoutError, PendingRollbackError))
    return lost or (isinstance(cause, DBAPIError) and cause.connection_invalidated)


def _patient(name: str) -> Any:
    inherited = getattr(RDBStorage, name)

    @wraps(inherited)
    def method(self: SharedStorage, *args: Any, **kwargs: Any) -> Any:
        return self.patiently(lambda: inherited(self, *args, **kwargs))

    return method


for _name in (
    "set_study_user_attr", "set_study_system_attr", "get_study_id_from_name", "get_study_name_from_id",
    "get_study_directions", "get_study_user_attrs", "get_study_system_attrs", "get_all_studies", "_create_new_trial",
    "_set_trial_param", "get_trial_param", "set_trial_intermediate_value", "set_trial_user_attr",
    "set_trial_system_attr", "get_trial_id_from_study_id_trial_number", "get_trial", "_get_trials",
    "_get_best_trial_id",
):  # fmt: skip
    setattr(SharedStorage, _name, _patient(_name))


def open_database(
    url: str,
    *,
    supervisor: str = "",
    patience: float = PATIENCE,
    hear: Callable[[str], None] = _unheard,
) -> SharedStorage:
    """Return the database at a URL, its tables made if need be.

    Raises
    ------
    StudyError
        It is no PostgreSQL database, the driver is missing, or it cannot be reached or used.
    """
    import sqlalchemy

    # Of a lost connection `patiently` tells in one line what Optuna would show as a traceback.
    logging.getLogger("optuna.storages._rdb.storage").setLevel(logging.ERROR)
    options = {"pool_pre_ping": True, "connect_args": dict(CONNECT) if "+psycopg" in normalise(url) else {}}
    try:
        engine = sqlalchemy.create_engine(normalise(url), **options)
        try:
            with engine.connect() as connection:  # held while the tables are made, which two cannot do at once
                connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(_SCHEMA_LOCK)))
                return SharedStorage(
                    engine.url.render_as_string(hide_password=False),
                    supervisor=supervisor, patience=patience, hear=hear, engine_kwargs=options,
                )  # fmt: skip
        finally:
            engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError, ImportError, ValueError) as error:
        msg = f"storage {explain_failure(url, error)}"
        raise StudyError(msg) from None
    except RuntimeError as error:  # Optuna: the tables are of another version
        msg = f"storage {explain_failure(url, error)}; see: optuna storage upgrade"
        raise StudyError(msg) from None
