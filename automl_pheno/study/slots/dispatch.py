"""Tasks on the workers of a Dask scheduler: one at a time on each, assigned by name, liveness watched."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from distributed import Client
from distributed.scheduler import KilledWorker

from automl_pheno.errors import StudyError
from automl_pheno.study.slots.arrivals import LOOK_EVERY, Arrivals, Loss
from automl_pheno.study.slots.deaths import WAIT, Deaths
from automl_pheno.study.slots.deployment import Deployment, Elastic
from automl_pheno.study.slots.executor import Finished, OnReport, Outcome, Reported, Task
from automl_pheno.study.slots.supply import Say, Supply, silent
from automl_pheno.study.slots.symptoms import GONE, MEMORY
from automl_pheno.study.slots.wires import Inbox, Wire

VANISHED_AFTER = 10.0
"""Seconds after which a task is lost whose worker the scheduler does not know."""

START_TIMEOUT = 120.0
"""Seconds until the first worker must have come, where it need not wait in the queue of a batch system."""

RECONNECT = 60.0
"""Seconds for which a scheduler that does not answer is called."""

LIFETIME_SHARE = 0.8
"""A task that ran for this share of its worker's whole time can never end there: it is not put back for ever."""

LOST = "the Dask scheduler does not answer any more ({}); the same command resumes the study"


@dataclass(slots=True)
class _Flight:
    """A task on its way to a worker, or running there."""

    task: Task
    address: str
    since: float = 0.0
    seen: float = 0.0
    missing: float | None = None
    died: float | None = None
    loss: Loss | None = None


class DaskExecutor:
    """Runs tasks on Dask workers. See `dask_executor` for how to make one."""

    def __init__(
        self,
        client: Client,
        wire: Wire,
        inbox: Inbox,
        *,
        cluster: Deployment | None,
        slots: int | None,
        supply: Supply | None = None,
        elastic: Elastic | None = None,
        say: Say = silent,
    ) -> None:
        self._client = client
        self._wire = wire
        self._events = inbox
        self._cluster = cluster
        self._wanted = slots
        self._supply = supply
        self._elastic = elastic
        self._flights: dict[str, _Flight] = {}
        self._over: list[Finished] = []
        self._ended: dict[str, str] = {}
        self._deaths = Deaths()
        self._failing: float | None = None
        self._comm: Any = None
        self._expected: int | None = None
        self._workers = Arrivals(client, supply, say, lambda: inbox.put("news", None))
        self._subscribe()
        self._look(force=True)

    @property
    def slots(self) -> int:
        """Number of workers that there should be; on a running scheduler, those that there are."""
        return self._wanted if self._wanted is not None else len(self._workers.usable())

    def wait_for_slot(self, timeout: float | None = START_TIMEOUT) -> None:
        """Wait for the first worker.

        Raises
        ------
        StudyError
            None came in `timeout` seconds, or none that came can be used.
        """
        started = time.monotonic()
        while not self._free():
            if self._workers.refused and not self._workers.greeting:
                raise StudyError("\n".join(sorted(set(self._workers.refused.values()))))
            if timeout is not None and time.monotonic() - started > timeout:
                msg = f"no worker came within {timeout:.0f} s; see the log files of the slots"
                raise StudyError(msg)
            if self._elastic is not None and time.monotonic() - started > 30.0:
                self._workers.say_once(self._elastic.waiting())
            self._events.pump(0.05)
            self._look(force=self._elastic is None)

    def free(self) -> int:
        """Return the number of usable workers without a task."""
        self._look()
        return len(self._free())

    def expect(self, tasks: int) -> None:
        """See `Executor.expect`."""
        self._expected = tasks

    def submit(self, task: Task) -> None:
        """Send the task to a free worker."""
        name, address = str(task["id"]), self._free()[0]
        seen = self._workers.slots[address].seen
        self._flights[name] = _Flight(task=task, address=address, since=time.monotonic(), seen=seen)
        if self._supply is None:
            self._send(name, task)
            return
        supply = self._supply

        def prepare() -> None:
            try:
                self._events.put("prepared", (name, supply.prepare(address, task)))
            except Exception as error:  # noqa: BLE001 - whatever it was, this worker cannot have the task
                self._events.put("unprepared", (name, f"{type(error).__name__}: {error}"))

        threading.Thread(target=prepare, name="supply", daemon=True).start()

    def poll(self, timeout: float, on_report: OnReport) -> list[Finished]:
        """See `Executor.poll`."""
        finished, self._over = self._over, []
        end = time.monotonic() + timeout
        while True:
            wait = 0.0 if finished else max(0.0, min(end - time.monotonic(), LOOK_EVERY))
            try:
                what, content = self._events.get(wait)
            except queue.Empty:
                self._look()
                finished += [*self._collect_vanished(), *self._buried()]
                if finished or time.monotonic() >= end:
                    return finished
                continue
            if what == "report":
                heard, ended = self._hear(content, on_report)
                finished += ended
                if heard:
                    end = time.monotonic()  # let the supervisor act on what came
            else:
                finished += self._handle(what, content)
                end = time.monotonic() if what in ("news", "removed") else end

    def stop(self, task: str) -> None:
        """Tell the worker that the task's next report is its last."""
        flight = self._flights.get(task)
        if flight is not None and flight.address in self._workers.slots:
            self._wire.stop(task, flight.address)

    def kill(self, task: str) -> None:
        """Restart the worker of a task; without a nanny the worker is given up, and the task with it."""
        flight = self._flights.get(task)
        if flight is None:
            return
        slot = self._workers.slots.get(flight.address)
        if slot is not None and self._cluster is not None and self._cluster.kill(slot.name):
            return
        if self._workers.restart(flight.address):
            return
        self._workers.drop(flight.address)
        self._workers.say_once(
            f"worker {flight.address} has no nanny that could start it anew: its hung trial is given up and the worker "
            "is used no more (start workers with --nanny, Dask's default)"
        )
        self._over.append(self._end(task, "its worker hung and could not be restarted"))

    def recycle(self, task: str) -> None:
        """Restart the worker of a task that has ended."""
        address = next((address for address, name in self._ended.items() if name == task), None)
        if address is not None and not self._workers.restart(address):
            self._workers.say_once(
                f"worker {address} has no nanny that could start it anew, so the memory that its trials leave behind "
                "stays taken (start workers with --nanny, Dask's default)"
            )

    def close(self) -> None:
        """End the client, and the workers if they are ours."""
        self._wire.close()
        if self._supply is not None:
            self._supply.close()
        with contextlib.suppress(Exception):
            self._client.unsubscribe_topic("all")  # it would be told of its own end when nobody listens any more
            self._client.close(timeout=5)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=10)

    # -- what happens ------------------------------------------------------------------------------------------------

    def _handle(self, what: str, content: Any) -> list[Finished]:
        if what == "done":
            self._wire.fetch(content)
        if what == "outcome":
            name, outcome = content
            return [self._came(name, outcome)] if name in self._flights else []
        if what == "error":
            return self._broke(*content)
        if what == "removed":
            return self._went(content)
        if what == "prepared":
            name, task = content
            if name in self._flights:
                self._send(name, task)
        elif what == "unprepared":
            name, reason = content
            if name in self._flights:
                return [self._end(name, f"its data could not be sent: {reason}", GONE)]
        return []

    def _hear(self, event: tuple[float, Any], on_report: OnReport) -> tuple[bool, list[Finished]]:
        moment, content = event
        name = str(content["task"])
        if (flight := self._flights.get(name)) is None:
            return False, []
        flight.seen = max(flight.seen, moment)
        self._workers.heard(flight.address, moment)
        for step, value in content["reports"]:
            on_report(Reported(task=name, step=step, value=value, slot=content["slot"]))
        if (outcome := content.get("outcome")) is None:
            return True, []
        self._wire.told(name)
        return True, [self._came(name, json.loads(outcome))]

    def _send(self, name: str, task: Task) -> None:
        try:
            self._wire.send(name, task, self._flights[name].address)
        except (OSError, RuntimeError, ValueError) as error:  # the connection is being made anew
            self._over.append(self._end(name, f"the connection to the worker broke ({error})", GONE))

    def _broke(self, name: str, error: BaseException) -> list[Finished]:
        if name not in self._flights:
            return []
        if isinstance(error, KilledWorker):
            return self._lost(name, Loss(reason="its process died", blamed=True))
        if isinstance(error, CancelledError):  # Dask cancels all when it has to connect anew
            return [self._end(name, f"the connection to the scheduler broke ({error})", GONE)]
        unreachable = isinstance(error, (OSError, TimeoutError))
        return [self._end(name, f"no result came back: {type(error).__name__}: {error}", GONE if unreachable else "")]

    def _came(self, name: str, outcome: Outcome) -> Finished:
        address = self._forget(name).address
        return Finished(task=name, outcome=outcome if self._supply is None else self._supply.accept(address, outcome))

    def _went(self, address: str) -> list[Finished]:
        """Judge the task of a worker that the scheduler has removed."""
        for name, flight in self._flights.items():
            if flight.address == address:
                known = self._workers.slots.get(address)
                flight.seen = max(flight.seen, known.seen if known is not None else 0.0)
                self._workers.removed(address)
                return self._lost(name, None)
        self._workers.removed(address)
        return []

    def _collect_vanished(self) -> list[Finished]:
        now = time.monotonic()
        vanished = []
        for name, flight in list(self._flights.items()):
            if (slot := self._workers.slots.get(flight.address)) is not None:
                flight.missing, flight.seen = None, max(flight.seen, slot.seen)
            elif flight.missing is None:
                flight.missing = now
            elif now - flight.missing > VANISHED_AFTER and flight.died is None:
                vanished += self._lost(name, None)
        return vanished

    def _lost(self, name: str, said: Loss | None) -> list[Finished]:
        """Judge a task whose worker is gone; where cuts can be, the scheduler's notes say who is to blame."""
        flight, loss = self._flights[name], said
        if flight.died is not None:
            return []
        if self._supply is not None:
            with contextlib.suppress(OSError, TimeoutError, ValueError):
                loss = self._workers.judge(flight.address, flight.seen) or said
        if loss is None:
            local = self._supply is None
            loss = Loss(reason="its process died" if local else "its worker vanished", blamed=local)
        flight.died, flight.loss = time.monotonic(), loss
        if loss.blamed and self._cluster is not None:
            return []  # its nanny is about to say of what
        return [self._bury(name)]

    def _buried(self) -> list[Finished]:
        now = time.monotonic()
        return [
            self._bury(name)
            for name, flight in list(self._flights.items())
            if flight.died is not None and now - flight.died > WAIT
        ]

    def _bury(self, name: str) -> Finished:
        flight = self._flights[name]
        reason, blamed = ("", True) if flight.loss is None else (flight.loss.reason, flight.loss.blamed)
        ran = time.monotonic() - flight.since
        if not blamed and self._elastic is not None and ran > LIFETIME_SHARE * self._elastic.lifetime:
            reason, blamed = f"{reason} after {ran:.0f} s of this trial: walltime is too short for it", True
        if blamed and self._deaths.of_memory(flight.address, 0.0):
            return self._end(name, "its process died of the memory it took", MEMORY)
        return self._end(name, reason, "" if blamed else GONE)

    def _end(self, name: str, reason: str, fault: str = "") -> Finished:
        flight = self._forget(name)
        self._wire.drop(name, flight.address)
        self._workers.soon()
        return Finished(task=name, outcome={"state": "lost", "reason": reason, **({"fault": fault} if fault else {})})

    def _forget(self, name: str) -> _Flight:
        flight = self._flights.pop(name)
        self._ended[flight.address] = name
        return flight

    # -- the scheduler -----------------------------------------------------------------------------------------------

    def _free(self) -> list[str]:
        busy = {flight.address for flight in self._flights.values()}
        return [address for address in self._workers.usable() if address not in busy and self._wire.reaches(address)]

    def _look(self, *, force: bool = False) -> None:
        try:
            self._check_connection()
            if not self._workers.look(force=force):
                return
            self._events.pump()
            self._failing = None
        except (OSError, TimeoutError, ValueError, RuntimeError, AttributeError) as error:
            if isinstance(error, StudyError):
                raise
            self._failing = self._failing if self._failing is not None else time.monotonic()
            if self._cluster is not None or time.monotonic() - self._failing > RECONNECT:
                raise StudyError(LOST.format(error)) from error
            self._workers.say_once("the connection to the scheduler broke; trying again")
            time.sleep(LOOK_EVERY)
            return
        if self._elastic is not None and self._expected is not None:
            busy = {flight.address for flight in self._flights.values()}
            idle = [slot.name for address, slot in self._workers.slots.items() if address not in busy]
            self._elastic.expect(self._expected, idle)
        if self._cluster is not None:
            self._cluster.replace_dead()

    def _check_connection(self) -> None:
        if self._client.status in ("closed", "closing"):
            raise StudyError(LOST.format("the connection was lost"))
        if self._client.status == "connecting":
            msg = "the connection is being made anew"
            raise ConnectionError(msg)
        if self._client.scheduler_comm is not self._comm:
            self._subscribe()

    def _subscribe(self) -> None:
        # Dask forgets subscriptions when it connects anew.
        self._comm = self._client.scheduler_comm
        self._wire.open()
        self._client.subscribe_topic("all", self._on_scheduler)
        self._deaths.subscribe(self._client)

    def _on_scheduler(self, event: tuple[float, Any]) -> None:
        content = event[1]
        if isinstance(content, dict) and content.get("action") == "remove-worker":
            self._events.put("removed", content["worker"])
        elif isinstance(content, dict) and content.get("action") == "add-worker":
            self._workers.soon()
