"""Which workers there are, which of them may be used, and why one went away: the supervisor's view of a scheduler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import dask
from dask.utils import parse_timedelta
from distributed import Client

from automl_pheno.errors import StudyError
from automl_pheno.study.slots.supply import Say, Supply

LOOK_EVERY = 1.0
"""Seconds between two looks at the workers of a scheduler; more where there are hundreds."""

SILENT_FOR = 3.0
"""Seconds without a sign of life before a connection broke, at least, that make it a cut one: the system closes the
connection of a process that dies at once."""

GREETINGS = threading.BoundedSemaphore(8)


@dataclass(slots=True)
class Slot:
    """A worker, as the scheduler knows it."""

    address: str
    name: str
    nanny: bool
    running: bool
    """False once it is leaving in good order."""
    seen: float
    """Last sign of life, by the scheduler's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Why the worker of a task went away."""

    reason: str
    blamed: bool
    """Whether the task may have killed it."""


class Arrivals:
    """Looks at a scheduler, greets workers that came and judges those that went.

    Parameters
    ----------
    client
        Of the scheduler.
    supply
        Greets workers; None where they are processes of this machine and of this installation.
    say
        Hears what a user wants to know.
    news
        Called, in any thread, when something changed.
    """

    def __init__(self, client: Client, supply: Supply | None, say: Say, news: Callable[[], None]) -> None:
        self._client = client
        self._supply = supply
        self._say = say
        self._news = news
        self._said: set[str] = set()
        self._ready: set[str] = set()
        self._greeted: set[str] = set()
        self._dropped: set[str] = set()
        self._restarting: set[str] = set()
        self.slots: dict[str, Slot] = {}
        self.refused: dict[str, str] = {}
        """Address -> why this worker is not used."""
        self._looked = -float("inf")

    # -- what there is -----------------------------------------------------------------------------------------------

    def usable(self) -> list[str]:
        """Return the addresses of the workers that may get a task, in the order in which they came."""
        return [
            address
            for address, slot in self.slots.items()
            if slot.running and address in self._ready and address not in self._restarting
        ]

    @property
    def greeting(self) -> bool:
        """Whether a worker has come that has not answered yet."""
        return bool(set(self.slots) - self._ready - set(self.refused) - self._dropped)

    def look(self, *, force: bool = False) -> bool:
        """Ask the scheduler who is there and greet who came; False if that was a moment ago."""
        now = time.monotonic()
        if not force and now - self._looked < max(LOOK_EVERY, len(self.slots) / 100):
            return False
        identity = self._client.sync(self._client.scheduler.identity)
        self._looked = time.monotonic()
        self.slots = {
            address: Slot(
                address=address, name=str(worker["name"]), nanny=bool(worker["nanny"]),
                running=worker["status"] in ("running", "paused"), seen=float(worker["last_seen"]),
            )
            for address, worker in identity["workers"].items()
        }  # fmt: skip
        for known in (self._ready, self._greeted, self._dropped, self._restarting):
            known &= set(self.slots)
        self.refused = {address: why for address, why in self.refused.items() if address in self.slots}
        for address in set(self.slots) - self._greeted:
            self._greet(address)
        return True

    def soon(self) -> None:
        """Make the next look happen at once."""
        self._looked = -float("inf")

    def removed(self, address: str) -> None:
        """Hear from the scheduler that a worker went away; another may come back under its address."""
        for known in (self._ready, self._greeted, self._dropped, self._restarting):
            known.discard(address)
        self.refused.pop(address, None)
        self.slots.pop(address, None)
        self.soon()

    def say_once(self, text: str) -> None:
        """Say something to the user that was not said before."""
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    # -- who came ----------------------------------------------------------------------------------------------------

    def _greet(self, address: str) -> None:
        self._greeted.add(address)
        if self._supply is None:
            self._ready.add(address)
        else:
            threading.Thread(target=self._introduce, args=(address,), name="greeting", daemon=True).start()

    def _introduce(self, address: str) -> None:
        supply, slot = self._supply, self.slots.get(address)
        if supply is None or slot is None:
            return
        try:
            with GREETINGS:
                answer = supply.greet(address, slot.name)
            if answer == "restart":
                if not slot.nanny:
                    msg = f"worker {slot.name} ({address}): has Keras on another backend; start it anew"
                    raise StudyError(msg)
                self.restart(address)
            else:
                self._ready.add(address)
        except StudyError as error:
            self.refused[address] = str(error)
            self.say_once(f"not used: {error}")
        except (OSError, TimeoutError):  # it went away again, or the network did: asked anew if it is still there
            time.sleep(LOOK_EVERY)
            self._greeted.discard(address)
        except Exception as error:  # noqa: BLE001 - whatever it answers, it is of no use
            self.refused[address] = f"worker {slot.name} ({address}): {type(error).__name__}: {error}"
            self.say_once(f"not used: {self.refused[address]}")
        self._news()

    # -- who is to go ------------------------------------------------------------------------------------------------

    def restart(self, address: str) -> bool:
        """Start the worker's process anew, in the background; False if it has no nanny that could."""
        slot = self.slots.get(address)
        if slot is not None and not slot.nanny:
            return False
        self._restarting.add(address)

        def restart() -> None:
            try:
                self._client.restart_workers([address], timeout=60, raise_for_error=False)
            except Exception:  # noqa: BLE001 - it is gone already, or the connection is
                self._restarting.discard(address)

        threading.Thread(target=restart, name="restart", daemon=True).start()
        return True

    def drop(self, address: str) -> None:
        """Use this worker no more."""
        self._ready.discard(address)
        self._dropped.add(address)

    # -- who went ----------------------------------------------------------------------------------------------------

    def heard(self, address: str, moment: float) -> None:
        """Note a sign of life, at `moment` by the scheduler's clock."""
        if (slot := self.slots.get(address)) is not None:
            slot.seen = max(slot.seen, moment)

    def judge(self, address: str, seen: float) -> Loss | None:
        """Say why a worker is gone, from what the scheduler noted; None if it notes no end of this worker.

        Parameters
        ----------
        address
            Of the worker.
        seen
            Its last sign of life, by the scheduler's clock.
        """
        events = self._client.get_events(address) or ()
        after = [(moment, event) for moment, event in events if moment >= seen - 60.0]
        removals = [(moment, event) for moment, event in after if event.get("action") == "remove-worker"]
        farewells = [event["reason"] for _, event in after if event.get("action") == "closing-worker"]
        if not removals:
            return None
        moment, removal = removals[-1]
        if "lifetime" in " ".join(farewells) or "worker-close-gracefully" in str(removal["stimulus_id"]):
            return Loss(reason="its worker came to the end of its time", blamed=False)
        if removal["expected"] or farewells:
            why = f" ({farewells[-1]})" if farewells else ""
            return Loss(reason=f"its worker left{why}", blamed=False)
        silence = moment - seen
        if silence > max(SILENT_FOR + len(self.slots) / 50, _tcp_timeout() / 2):
            return Loss(reason=f"its worker was cut off, {silence:.0f} s without a sign of life", blamed=False)
        return Loss(reason="its process died", blamed=True)


def _tcp_timeout() -> float:
    return float(parse_timedelta(dask.config.get("distributed.comm.timeouts.tcp"), default="s"))
