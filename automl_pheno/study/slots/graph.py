"""Tasks as Dask's own: through its graph, with the scheduler between, to wherever a worker is."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from distributed import Client, Future

from automl_pheno.study.slots.executor import Task
from automl_pheno.study.slots.nodes import TOPIC, run_on_node, stop_task
from automl_pheno.study.slots.wires import Inbox

FETCH_TIMEOUT = 60.0
"""Seconds for which a worker is asked for an outcome."""


class GraphWire:
    """See `wires.Wire`. All that it needs is the client's connection to the scheduler.

    Parameters
    ----------
    client
        Of the scheduler.
    inbox
        Where reports and ends are put.
    """

    def __init__(self, client: Client, inbox: Inbox) -> None:
        self._client = client
        self._inbox = inbox
        self._futures: dict[str, Future] = {}
        self._told: set[str] = set()

    def open(self) -> None:
        """See `Wire.open`."""
        self._client.subscribe_topic(TOPIC, lambda event: self._inbox.put("report", event))

    def reaches(self, address: str) -> bool:  # noqa: ARG002 - the scheduler does
        """See `Wire.reaches`."""
        return True

    def send(self, name: str, task: Task, address: str) -> None:
        """See `Wire.send`."""
        future = self._client.submit(
            run_on_node, task, key=f"{name}-{time.monotonic_ns()}", pure=False, workers=[address], retries=0
        )
        self._futures[name] = future
        future.add_done_callback(lambda _: self._inbox.put("done", name))

    def stop(self, name: str, address: str) -> None:
        """See `Wire.stop`."""
        self._client.loop.add_callback(self._tell_to_stop, name, address)

    async def _tell_to_stop(self, name: str, address: str) -> None:
        # In the client's own thread: a worker that hangs does not answer, and the search must not wait for it.
        with contextlib.suppress(Exception):  # it died a moment ago: `poll` will say so
            await self._client._run(stop_task, name, workers=[address], wait=False, on_error="ignore")

    def told(self, name: str) -> None:
        """Keep the task until Dask knows of its end, too: to let go of a running one is to cancel it."""
        if name in self._futures:
            self._told.add(name)

    def fetch(self, name: str) -> None:
        """See `Wire.fetch`."""
        future = self._futures.pop(name, None)
        if name in self._told:
            self._told.discard(name)
        elif future is not None:
            # A worker that is cut off just now does not answer, and the search must not wait for it.
            threading.Thread(target=self._fetch, args=(name, future), name="fetching", daemon=True).start()

    def _fetch(self, name: str, future: Future) -> None:
        try:
            self._inbox.put("outcome", (name, future.result(timeout=FETCH_TIMEOUT)))
        except BaseException as error:  # noqa: BLE001 - whatever Dask says, the trial has no result
            self._inbox.put("error", (name, error))

    def drop(self, name: str, address: str) -> None:  # noqa: ARG002 - Dask knows where it is
        """See `Wire.drop`."""
        future: Any = self._futures.pop(name, None)
        with contextlib.suppress(Exception):
            if future is not None:
                future.cancel()

    def close(self) -> None:
        """See `Wire.close`."""
        for name in list(self._futures):
            self.drop(name, "")
