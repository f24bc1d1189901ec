"""Motif discovery by TF-MoDISco (Shrikumar et al. 2018; modisco-lite), in the terms of `FoundMotif`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray, IntArray
from automl_pheno.data.encode import one_hot
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.motifs.pwm import enough_information, frequencies_of
from automl_pheno.explain.motifs.seqlets import SHOWN, FoundMotif, check_sequences, motif_of, motif_places
from automl_pheno.explain.parts.protocol import NotApplicableError
from automl_pheno.explain.references import draw_rows

SEQUENCES = 2000
SEQLETS = 1000
"""Of each sign: the affinities of all pairs are computed."""
LEIDEN_RUNS = 10
FEWEST_SEQUENCES = 50
FEWEST_SEQLETS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Window in which contributions are summed, bases added on both sides, and window to which patterns are cut, bp.

    TF-MoDISco's own 21, 10 and 30 are made for regions of 400 bp and more; in shorter ones, where motifs are close
    together and to the ends, they miss motifs that the settings of its tutorial on 200 bp (15, 5, 15) find.
    """

    window: int
    flank: int
    trim: int

    @property
    def margin(self) -> int:
        """Neutral bases put at both ends."""
        return 3 * self.flank


SHORTEST, LONG = 30, 400
WIDE, NARROW = Settings(window=21, flank=10, trim=30), Settings(window=15, flank=5, trim=15)


def settings_for(length: int) -> Settings:
    """Return the settings for sequences of `length` bp.

    Raises
    ------
    NotApplicableError
        They are too short for any.
    """
    if length < SHORTEST:
        msg = f"TF-MoDISco needs sequences of at least {SHORTEST} bp, got {length}"
        raise NotApplicableError(msg)
    return WIDE if length >= LONG else NARROW


def discover(attribution: Attribution, *, rng: np.random.Generator, most: int = 20) -> list[FoundMotif]:
    """Return the patterns that TF-MoDISco finds, the most contribution in all first.

    TF-MoDISco seeds its own clustering, so that the result depends on the attribution alone up to `SEQUENCES`
    sequences; `rng` draws from more. Patterns that say too little (`enough_information`) are left out.

    Parameters
    ----------
    most
        Motifs at most.

    Raises
    ------
    ExplainError
        The attribution is of genotypes.
    NotApplicableError
        modisco-lite is not installed; the method gave no hypothetical contributions; too few or too short sequences.
    """
    check_sequences(attribution)
    if find_spec("modiscolite") is None:
        msg = "TF-MoDISco needs modisco-lite: pip install 'automl-pheno[motifs]'"
        raise NotApplicableError(msg)
    if attribution.hypothetical is None:
        msg = f"TF-MoDISco needs hypothetical contributions, which the method {attribution.method!r} does not give"
        raise NotApplicableError(msg)
    settings = settings_for(attribution.inputs.width)
    rows = draw_rows(len(attribution), SEQUENCES, rng)
    if len(rows) < FEWEST_SEQUENCES:
        msg = f"TF-MoDISco needs at least {FEWEST_SEQUENCES} explained sequences, got {len(rows)}"
        raise NotApplicableError(msg)
    progress.tick("TF-MoDISco (the first time compiles for a minute)", 0.0)
    bases = one_hot(attribution.inputs.values[rows])
    patterns = _patterns(bases, attribution.hypothetical[rows], settings)
    found = [
        _described(attribution, pattern, rows, settings.margin, rng)
        for pattern in patterns
        if len(pattern.seqlets) >= FEWEST_SEQLETS
    ]
    found = [motif for motif in found if enough_information(motif.frequencies)]
    found.sort(key=lambda motif: -motif.n_seqlets * abs(motif.mean_contribution))
    return found[:most]


def _patterns(bases: FloatArray, hypothetical: FloatArray, settings: Settings) -> list[Any]:
    from modiscolite.tfmodisco import TFMoDISco

    # it drops what reaches over an end, so that motifs near the ends would be lost; a column of zeros it divides by
    around = ((0, 0), (settings.margin, settings.margin), (0, 0))
    known = np.where(bases.sum(axis=2, keepdims=True) > 0, bases, 0.25)
    both = TFMoDISco(
        one_hot=np.pad(known, around, constant_values=0.25).astype(np.float32),
        hypothetical_contribs=np.pad(hypothetical, around).astype(np.float32),
        sliding_window_size=settings.window,
        flank_size=settings.flank,
        trim_to_window_size=settings.trim,
        initial_flank_to_add=settings.flank,
        min_metacluster_size=FEWEST_SEQLETS * 2,
        max_seqlets_per_metacluster=SEQLETS,
        final_min_cluster_size=FEWEST_SEQLETS,
        n_leiden_runs=LEIDEN_RUNS,
    )
    return [pattern for patterns in both for pattern in patterns or []]


def _described(
    attribution: Attribution, pattern: Any, rows: IntArray, margin: int, rng: np.random.Generator
) -> FoundMotif:
    seqlets = pattern.seqlets
    mean = np.mean([seqlet.contrib_scores for seqlet in seqlets], axis=0)
    height = np.abs(mean.sum(axis=1))
    shown = np.flatnonzero(height >= SHOWN * height.max())
    inside = slice(int(shown[0]), int(shown[-1]) + 1)
    forward = np.array([not seqlet.is_revcomp for seqlet in seqlets], dtype=bool)
    start = np.array([seqlet.start - margin for seqlet in seqlets], dtype=np.int64)
    places = motif_places(
        attribution,
        sample=rows[[seqlet.example_idx for seqlet in seqlets]],
        first=start + np.where(forward, inside.start, len(mean) - inside.stop),
        width=inside.stop - inside.start,
        forward=forward,
    )
    frequencies = frequencies_of(np.sum([seqlet.sequence for seqlet in seqlets], axis=0)[inside])
    return motif_of(mean[inside], frequencies, places, rng=rng, source="modisco")
