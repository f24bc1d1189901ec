"""Random generators: derived from one study seed by name, never global."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and on each name, the same in every process."""
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a generator for the purpose that `names` state, for example ``generator(7, "split")``."""
    return np.random.default_rng(derive_seed(seed, *names))
