"""Of what slots' processes died, as their nannies say."""

from __future__ import annotations

import threading
from typing import Any

from distributed import Client

from automl_pheno.study.slots.nanny import DEATHS

WAIT = 0.8
"""Seconds to wait for the word of a nanny, which looks a few times a second and may be dead itself."""

_OF_DASK = "worker-restart-memory"  # Dask's own topic: a nanny ends a process beyond its limit


class Deaths:
    """Hears the nannies."""

    def __init__(self) -> None:
        self._heard = threading.Condition()
        self._of_memory: dict[str, bool] = {}

    def subscribe(self, client: Client) -> None:
        """Hear the nannies of the client's scheduler."""
        client.subscribe_topic(DEATHS, lambda event: self._note(event[1], of_memory=bool(event[1]["memory"])))
        client.subscribe_topic(_OF_DASK, lambda event: self._note(event[1], of_memory=True))

    def of_memory(self, address: str, timeout: float = WAIT) -> bool:
        """Return whether the process at `address` died of the memory it took; False where nobody says so in time."""
        with self._heard:
            self._heard.wait_for(lambda: address in self._of_memory, timeout)
            return self._of_memory.pop(address, False)

    def _note(self, event: Any, *, of_memory: bool) -> None:
        with self._heard:
            self._of_memory[event["worker"]] = of_memory or self._of_memory.get(event["worker"], False)
            self._heard.notify_all()
