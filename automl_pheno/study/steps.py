"""Bars for the long steps before a search: reading, grouping, auditing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from automl_pheno.progress import listening

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_SHOW_AFTER = 1.0  # seconds; a bar that flashes up tells nothing


class StepBar:
    """Draws one bar for the step that is heard, once it takes longer than a second; in a terminal only.

    Parameters
    ----------
    console
        Where to draw; None makes one on standard error.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console

        self._console = console if console is not None else Console(stderr=True)
        self._bar: Progress | None = None
        self._step = ""
        self._since = time.monotonic()

    def __call__(self, step: str, done: float) -> None:
        """Hear how far `step` is, 0 to 1."""
        if not self._console.is_terminal:
            return
        if step != self._step:
            self.close()
            self._step, self._since = step, time.monotonic()
        if done >= 1.0:
            self.close()
            return
        if self._bar is None:
            if time.monotonic() - self._since < _SHOW_AFTER:
                return
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.add_task(step, total=1.0)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._step = ""


@contextmanager
def step_bar() -> Iterator[None]:
    """Show a bar for each long step within the block."""
    bar = StepBar()
    try:
        with listening(bar):
            yield
    finally:
        bar.close()
