"""What a search tells its user while it runs: live lines in a terminal, log lines elsewhere, or nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from automl_pheno.study.records import TrialRecord
from automl_pheno.study.steps import StepBar

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a search stands.

    Attributes
    ----------
    target
        ``trials`` of the study.
    complete, pruned, failed, infeasible
        Networks by state.
    fresh
        Networks that count and were finished since this start, for the rate.
    best
        Best validation value of a complete network, None before the first, and its name.
    metric
        Name of the validation metric.
    """

    target: int
    metric: str
    complete: int = 0
    pruned: int = 0
    failed: int = 0
    infeasible: int = 0
    fresh: int = 0
    best: float | None = None
    best_name: str = ""

    @property
    def counted(self) -> int:
        """Trials that count towards the target."""
        return self.complete + self.pruned + self.failed


class Progress(Protocol):
    """Hears what happens; must never raise or wait."""

    def begin(self, standing: Standing, *, slots: int, time_limit: float | None) -> None:
        """Hear that the search starts or resumes."""
        ...

    def message(self, text: str) -> None:
        """Hear a sentence for the user."""
        ...

    def step(self, what: str, done: float) -> None:
        """Hear how far a long step before the search is, 0 to 1."""
        ...

    def started(self, task: str, slot: str) -> None:
        """Hear that a task runs in a slot."""
        ...

    def reported(self, task: str, step: int, value: float) -> None:
        """Hear a value of a running task."""
        ...

    def gone(self, task: str) -> None:
        """Hear that a task runs no more, without a record."""
        ...

    def finished(self, task: str, record: TrialRecord, standing: Standing) -> None:
        """Hear that a task ended with a record."""
        ...

    def end(self) -> None:
        """Hear that no more follows."""
        ...


class Silent:
    """Hears everything and says nothing."""

    def begin(self, standing: Standing, *, slots: int, time_limit: float | None) -> None:
        """See `Progress`."""

    def message(self, text: str) -> None:
        """See `Progress`."""

    def step(self, what: str, done: float) -> None:
        """See `Progress`."""

    def started(self, task: str, slot: str) -> None:
        """See `Progress`."""

    def reported(self, task: str, step: int, value: float) -> None:
        """See `Progress`."""

    def gone(self, task: str) -> None:
        """See `Progress`."""

    def finished(self, task: str, record: TrialRecord, standing: Standing) -> None:
        """See `Progress`."""

    def end(self) -> None:
        """See `Progress`."""


@dataclass(slots=True)
class _Line:
    slot: str
    step: int = 0
    value: float | None = None
    best: float | None = None
    since: float = field(default_factory=time.monotonic)


class ConsoleProgress(Silent):
    """One live line a slot and a header in a terminal; one log line a finished trial elsewhere.

    Parameters
    ----------
    console
        Where to write; None makes one on standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console if console is not None else Console(stderr=True)
        self._bar = StepBar(self._console)
        self._live: Live | None = None
        self._lines: dict[str, _Line] = {}
        self._standing = Standing(target=0, metric="")
        self._slots = 0
        self._started = time.monotonic()
        self._time_limit: float | None = None

    def begin(self, standing: Standing, *, slots: int, time_limit: float | None) -> None:
        """See `Progress`."""
        self._standing, self._slots, self._time_limit = standing, slots, time_limit
        self._started = time.monotonic()
        self._bar.close()
        if self._console.is_terminal:
            from rich.live import Live

            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def message(self, text: str) -> None:
        """See `Progress`."""
        self._bar.close()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def step(self, what: str, done: float) -> None:
        """See `Progress`."""
        self._bar(what, done)

    def started(self, task: str, slot: str) -> None:
        """See `Progress`."""
        self._lines[task] = _Line(slot)

    def reported(self, task: str, step: int, value: float) -> None:
        """See `Progress`."""
        line = self._lines.setdefault(task, _Line(""))
        line.step, line.value = step, value

    def gone(self, task: str) -> None:
        """See `Progress`."""
        self._lines.pop(task, None)

    def finished(self, task: str, record: TrialRecord, standing: Standing) -> None:
        """See `Progress`."""
        self._lines.pop(task, None)
        self._standing = standing
        if self._live is None or record.state == "failed" or record.kind == "baseline":
            self.message(_describe(record, standing))

    def end(self) -> None:
        """See `Progress`."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim")
        for name, justify in (("slot", "left"), ("trial", "left"), ("step", "right"), ("value", "right")):
            table.add_column(name, justify=justify)  # type: ignore[arg-type] # rich wants a Literal
        table.add_column("seconds", justify="right")
        now = time.monotonic()
        for task, line in sorted(self._lines.items(), key=lambda item: item[1].slot):
            value = "" if line.value is None else f"{line.value:.4f}"
            table.add_row(line.slot, task, str(line.step or ""), value, f"{now - line.since:.0f}")
        return Group(Text(self._header(), style="bold"), table)

    def _header(self) -> str:
        standing, passed = self._standing, time.monotonic() - self._started
        best = "no trial complete yet" if standing.best is None else f"best {standing.best:.4f} ({standing.best_name})"
        parts = [
            f"{standing.counted}/{standing.target} trials",
            f"{standing.complete} done, {standing.pruned} pruned, {standing.failed} failed",
            f"{standing.metric}: {best}",
        ]
        if standing.fresh:
            parts.append(f"{standing.fresh / passed * 3600:.0f} trials/h")
        left = _time_left(standing, passed, self._time_limit)
        return " | ".join([*parts, f"{duration(left)} left"] if left is not None else parts)


def _time_left(standing: Standing, passed: float, limit: float | None) -> float | None:
    """Return the seconds to go by the rate so far or the time limit, whichever is less."""
    guesses = []
    if standing.fresh:
        guesses.append(passed / standing.fresh * max(0, standing.target - standing.counted))
    if limit is not None:
        guesses.append(max(0.0, limit - passed))
    return min(guesses, default=None)


def duration(seconds: float) -> str:
    """Return ``1 h 05 min``, ``12 min`` or ``40 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def _describe(record: TrialRecord, standing: Standing) -> str:
    details: list[Any] = []
    if record.value is not None:
        spread = "" if record.sd is None else f" ± {record.sd:.4f}"
        details.append(f"{standing.metric} {record.value:.4f}{spread}")
    if record.epochs:
        details.append(f"{record.epochs} epochs")
    if record.seconds is not None:
        details.append(f"{record.seconds:.1f} s" + (f" on {record.device}" if record.device else ""))
    if record.reason:
        details.append(record.reason)
    count = f"[{standing.counted}/{standing.target}] " if record.kind == "network" else ""
    return f"{count}{record.name} {record.state}" + (f": {', '.join(details)}" if details else "")
