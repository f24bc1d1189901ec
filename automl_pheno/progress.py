"""How far a long step is: said by whoever works, heard by whoever listens; by default by nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

Listener = Callable[[str, float], None]
"""``listener(step, done)``: the step in words, and its share done, 0 to 1; must never raise or wait."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener | None) -> Iterator[None]:
    """Let `listener` hear `tick` within the block, also from functions that were not told of it."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tick(step: str, done: float) -> None:
    """Say that `step` is done to the share `done`, 0 to 1."""
    listener = _LISTENER.get()
    if listener is not None:
        listener(step, min(max(float(done), 0.0), 1.0))


def ticking(step: str, items: Iterable[T], size: int | None = None) -> Iterator[T]:
    """Yield the items and tick before each and at the end.

    Parameters
    ----------
    step
        In words, as ``comparing sequences``.
    items
        Blocks of work of about the same size.
    size
        How many; None asks ``len(items)``.
    """
    if size is None:
        size = len(items) if isinstance(items, Sized) else 0
    for number, item in enumerate(items):
        tick(step, number / size if size else 0.0)
        yield item
    tick(step, 1.0)
