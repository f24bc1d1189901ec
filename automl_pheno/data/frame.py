"""What sequences have in common: lengths, and whether they lie in one frame, as the members of a library do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray, UInt8Array
from automl_pheno.data.encode import PADDING, decode
from automl_pheno.data.variants import blocks

FEWEST_SEQUENCES = 20
ALIGNED = 0.6
"""Identity with the consensus, position by position, above which sequences lie in one frame. Unrelated ones agree in a
quarter of the positions, and with the consensus of some tens of them in a few more."""
ASTRAY = 0.45
"""Identity below which a sequence does not lie in that frame."""
_FIELDS: Mapping[str, Callable[[Any], Any]] = {"shortest": int, "consensus": str, "identity": float}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Sequences that a model was fitted on, in short.

    Attributes
    ----------
    shortest
        In bp.
    consensus
        The most frequent base of each position, or "" where they do not lie in one frame.
    identity
        Share of the positions in which 99 % of the sequences agree with it.
    """

    shortest: int
    consensus: str = ""
    identity: float = 0.0

    def __post_init__(self) -> None:
        if self.consensus and set(self.consensus) - set("ACGT"):
            object.__setattr__(self, "consensus", "")

    @classmethod
    def of(cls, codes: UInt8Array) -> Frame:
        """Return that of `codes`, as in `Inputs`, shape (n, length), n >= 1."""
        shortest = int((codes != PADDING).sum(axis=1).min())
        if len(codes) < FEWEST_SEQUENCES:
            return cls(shortest=shortest)
        counts = np.stack([(codes == code).sum(axis=0) for code in (1, 2, 4, 8)])
        consensus = (1 << counts.argmax(axis=0)).astype(np.uint8)
        lowest = float(np.quantile(_identity(codes, consensus), 0.01))
        if lowest < ALIGNED:
            return cls(shortest=shortest)
        return cls(shortest=shortest, consensus=decode(consensus[None])[0], identity=round(lowest, 4))

    @classmethod
    def read(cls, stated: Mapping[str, Any] | None) -> Frame | None:
        """Return what `plain` gave; None of anything else."""
        try:
            return cls(**{name: kind((stated or {})[name]) for name, kind in _FIELDS.items()})
        except (KeyError, TypeError, ValueError):
            return None

    def plain(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    def astray(self, codes: UInt8Array) -> npt.NDArray[np.bool_]:
        """Say of each row of `codes`, padded to the width of training, whether it lies outside the frame."""
        if len(self.consensus) != codes.shape[1]:
            return np.zeros(len(codes), dtype=bool)
        letters = np.frombuffer(self.consensus.encode(), dtype=np.uint8)
        consensus = np.select([letters == ord(base) for base in "ACGT"], [1, 2, 4, 8]).astype(np.uint8)
        outside: npt.NDArray[np.bool_] = _identity(codes, consensus) < ASTRAY
        return outside


def _identity(codes: UInt8Array, consensus: UInt8Array) -> FloatArray:
    """Return the share of the bases of each row that agree with `consensus`; an N agrees with all."""
    shares = np.empty(len(codes))
    for rows in blocks(len(codes), codes.shape[1]):
        part = codes[rows]
        shares[rows] = ((part & consensus) != 0).sum(axis=1) / np.maximum((part != PADDING).sum(axis=1), 1)
    return shares
