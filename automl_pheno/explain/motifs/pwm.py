"""Position weight matrices: frequencies of A, C, G, T, one row a position."""

from __future__ import annotations

import numpy as np

from automl_pheno.data.dataset import FloatArray

COLUMN_BITS, FEWEST_COLUMNS, FEWEST_BITS = 0.3, 4, 6.0
"""A PWM with fewer informative columns and fewer bits in all says too little to be called a motif or matched."""
_PAIRS = {3: "M", 5: "R", 9: "W", 6: "S", 10: "Y", 12: "K"}


def frequencies_of(counts: FloatArray, pseudocount: float = 0.25) -> FloatArray:
    """Return base frequencies from counts, shape (width, 4); `pseudocount` is added to each base."""
    raised = np.asarray(counts, dtype=np.float64) + pseudocount
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def information(frequencies: FloatArray) -> FloatArray:
    """Return the information of each position in bits, 0 to 2, shape (width,), against even base frequencies."""
    p = np.asarray(frequencies, dtype=np.float64)
    return np.asarray(2.0 + (p * np.log2(np.maximum(p, 1e-12))).sum(axis=1))


def reverse_complement(matrix: FloatArray) -> FloatArray:
    """Return the matrix of the other strand, shape (width, 4)."""
    return matrix[::-1, ::-1]


def informative_part(frequencies: FloatArray, least_bits: float = COLUMN_BITS) -> slice:
    """Return the positions from the first to the last with at least `least_bits`; an empty slice where none has."""
    inside = np.flatnonzero(information(frequencies) >= least_bits)
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def enough_information(frequencies: FloatArray) -> bool:
    """Tell whether a PWM says enough to be matched: four columns of 0.3 bit, or six bits in all."""
    bits = information(frequencies)
    return bool((bits >= COLUMN_BITS).sum() >= FEWEST_COLUMNS or bits.sum() >= FEWEST_BITS)


def consensus(frequencies: FloatArray) -> str:
    """Return one IUPAC letter a row: a base above 1/2, else two bases above 3/4 together, else N (Cavener 1987)."""
    letters = []
    for row in frequencies:
        order = np.argsort(-row)
        if row[order[0]] > 0.5:
            letters.append("ACGT"[order[0]])
        elif row[order[:2]].sum() > 0.75:
            letters.append(_PAIRS[int((1 << order[0]) + (1 << order[1]))])
        else:
            letters.append("N")
    return "".join(letters)


def likeness(a: FloatArray, b: FloatArray, *, both_strands: bool = True) -> float:
    """Return the best cosine of two matrices over all shifts, -1 to 1; what does not overlap counts as zeros.

    Parameters
    ----------
    a, b
        Contributions, or frequencies less 1/4, shapes (width, 4).
    both_strands
        Also compare with the reverse complement.
    """
    norm = max(float(np.sqrt((a**2).sum() * (b**2).sum())), 1e-300)
    wide = np.pad(b, ((len(a), len(a)), (0, 0)))
    cuts = np.lib.stride_tricks.sliding_window_view(wide, len(a), axis=0)  # (shifts, 4, width of a)
    turns = (a, reverse_complement(a)) if both_strands else (a,)
    return max(float(np.einsum("scw,wc->s", cuts, turned).max()) for turned in turns) / norm


def covered(a: FloatArray, b: FloatArray) -> float:
    """Return how well `b` repeats all that `a` shows: their best cosine within the window of `a`, either strand.

    Unlike `likeness` it is 1 where `a` is a piece of `b`.
    """
    wide = np.pad(b, ((len(a), len(a)), (0, 0)))
    cuts = np.lib.stride_tricks.sliding_window_view(wide, len(a), axis=0)
    least = 0.25 * float((b**2).sum())  # a faint flank of b resembles anything
    norm = np.sqrt((a**2).sum() * np.maximum((cuts**2).sum(axis=(1, 2)), max(least, 1e-300)))
    return max(
        float((np.einsum("scw,wc->s", cuts, turned) / np.maximum(norm, 1e-300)).max())
        for turned in (a, reverse_complement(a))
    )
