"""Where tasks run: the small interface of the supervisor's executors, and the one of the same process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from automl_pheno.study.slots.worker import run_task

Task = dict[str, Any]
"""Plain JSON-like: ``id`` (unique in this process), ``function`` (``module:name``) and what the function reads."""

Outcome = dict[str, Any]
"""Plain JSON-like: ``state`` and what `worker.run_task` adds; ``lost`` is a task whose process died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A task that came back."""

    task: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """A value that a running task reported; ``step`` counts from 1, 0 says that the task has started."""

    task: str
    step: int
    value: float
    slot: str
    """``host:pid`` of the slot."""


OnReport = Callable[[Reported], None]


class Executor(Protocol):
    """Runs tasks, each in a slot of its own."""

    @property
    def slots(self) -> int:
        """Number of tasks that can run at the same time."""
        ...

    def free(self) -> int:
        """Return the number of slots that wait for a task."""
        ...

    def expect(self, tasks: int) -> None:
        """Hear how many tasks are left, running ones among them; slots that can be had or let go follow it."""
        ...

    def submit(self, task: Task) -> None:
        """Start `task` in a free slot."""
        ...

    def poll(self, timeout: float, on_report: OnReport) -> list[Finished]:
        """Hand reports to `on_report` and return finished tasks; wait up to `timeout` s if there are neither."""
        ...

    def stop(self, task: str) -> None:
        """Ask the task to end at its next report."""
        ...

    def kill(self, task: str) -> None:
        """End the slot's process; the task comes back as ``lost`` and the slot starts anew."""
        ...

    def recycle(self, task: str) -> None:
        """Start the process of the slot anew in which `task` ended."""
        ...

    def close(self) -> None:
        """End all processes."""
        ...


@dataclass(slots=True)
class InProcess:
    """Runs one task at a time in this very process (``workers: 0``)."""

    waiting: deque[Task] = field(default_factory=deque)
    stopped: set[str] = field(default_factory=set)

    @property
    def slots(self) -> int:
        """One."""
        return 1

    def free(self) -> int:
        """Return 1 unless a task waits."""
        return 0 if self.waiting else 1

    def expect(self, tasks: int) -> None:
        """Do nothing: there is one slot."""

    def submit(self, task: Task) -> None:
        """Keep the task for the next `poll`, which runs it."""
        self.waiting.append(task)

    def poll(self, timeout: float, on_report: OnReport) -> list[Finished]:  # noqa: ARG002 - never waits
        """Run the waiting task to its end."""
        if not self.waiting:
            return []
        task = self.waiting.popleft()
        name = str(task["id"])

        def report(step: int, value: float) -> bool:
            on_report(Reported(task=name, step=step, value=value, slot="this process"))
            return name in self.stopped

        on_report(Reported(task=name, step=0, value=float("nan"), slot="this process"))
        outcome = {"state": "stopped"} if name in self.stopped else run_task(task, report)
        self.stopped.discard(name)
        return [Finished(task=name, outcome=outcome)]

    def stop(self, task: str) -> None:
        """Make the task's next report return True."""
        self.stopped.add(task)

    def kill(self, task: str) -> None:
        """Stop it: there is no process to end but this one."""
        self.stop(task)

    def recycle(self, task: str) -> None:
        """Do nothing: there is no other process."""

    def close(self) -> None:
        """Drop what waits."""
        self.waiting.clear()
