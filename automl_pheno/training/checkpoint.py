"""A training that was broken off on purpose, to be gone on with: weights, optimizer, random numbers and history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from automl_pheno.files import replacing

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """Everything that decides how a training goes on: gone on with, it ends as if it had never stopped.

    Attributes
    ----------
    state
        Trainable weights, non-trainable weights, optimizer slots and number of steps after the last epoch; see
        ``program.State``.
    best
        Trainable and non-trainable weights of the best epoch.
    best_value, best_epoch
        Of the monitor.
    curve
        One mapping for each epoch so far.
    rng
        State of the generator.
    crossed
        ``best`` and ``output`` of `predictors.epochs.CrossedEpochs` so far; None where nobody collects them.
    """

    state: Any
    best: tuple[Sequence[Array], Sequence[Array]]
    best_value: float
    best_epoch: int
    curve: tuple[Mapping[str, float], ...]
    rng: Mapping[str, Any]
    crossed: tuple[Array, Array] | None = None

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return len(self.curve)

    def fits(self, state: Any) -> bool:
        """Return whether `state`, of a network about to be trained, has arrays of the same shapes."""
        return bool(_shapes(self.state) == _shapes(state))

    def save(self, path: Path) -> None:
        """Write it in one step, as an ``.npz``.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        trainable, non_trainable, slots, step = self.state
        arrays = {f"trainable.{i}": value for i, value in enumerate(trainable)}
        arrays |= {f"non_trainable.{i}": value for i, value in enumerate(non_trainable)}
        arrays |= {f"slot.{i}.{j}": value for i, pair in enumerate(slots) for j, value in enumerate(pair)}
        arrays |= {f"best_trainable.{i}": value for i, value in enumerate(self.best[0])}
        arrays |= {f"best_non_trainable.{i}": value for i, value in enumerate(self.best[1])}
        if self.crossed is not None:
            arrays |= {"crossed_best": self.crossed[0], "crossed_output": self.crossed[1]}
        about = {
            "best_value": self.best_value,
            "best_epoch": self.best_epoch,
            "curve": [dict(point) for point in self.curve],
            "rng": self.rng,
            "slots": len(slots[0]) if slots else 0,
        }
        with replacing(path) as stream:
            np.savez(stream, step=step, about=np.array(json.dumps(about)), **arrays)

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Return what `save` wrote.

        Raises
        ------
        OSError, ValueError, KeyError
            The file is missing or damaged.
        """
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        about = json.loads(str(arrays["about"]))

        def all_of(prefix: str) -> list[Array]:
            return [arrays[f"{prefix}.{i}"] for i in range(sum(name.startswith(f"{prefix}.") for name in arrays))]

        trainable = all_of("trainable")
        slots = [tuple(arrays[f"slot.{i}.{j}"] for j in range(about["slots"])) for i in range(len(trainable))]
        return cls(
            state=(trainable, all_of("non_trainable"), slots, arrays["step"]),
            best=(all_of("best_trainable"), all_of("best_non_trainable")),
            best_value=about["best_value"],
            best_epoch=about["best_epoch"],
            curve=tuple(about["curve"]),
            rng=about["rng"],
            crossed=(arrays["crossed_best"], arrays["crossed_output"]) if "crossed_best" in arrays else None,
        )


def _shapes(state: Any) -> Any:
    trainable, non_trainable, slots, counters = state
    return (
        [np.shape(value) for value in trainable],
        [np.shape(value) for value in non_trainable],
        [[np.shape(value) for value in pair] for pair in slots],
        np.shape(counters),
    )
