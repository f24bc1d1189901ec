"""TF-MoDISco finds planted motifs, and its places come back in the coordinates of the sequences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from automl_pheno.data.dataset import Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain.attribution import Attribution, at_bases
from automl_pheno.explain.motifs import discovery
from automl_pheno.explain.motifs.discovery import FEWEST_SEQUENCES, discover, settings_for
from automl_pheno.explain.parts.protocol import NotApplicableError

MOTIF = "TGACGTCATC"


def planted(n: int = 300, length: int = 80) -> tuple[Attribution, set[tuple[int, int]]]:
    rng = np.random.default_rng(0)
    codes = (1 << rng.integers(0, 4, (n, length))).astype(np.uint8)
    contributions = rng.laplace(0.0, 0.02, (n, length))
    where = set()
    for row in range(n):
        if row % 2:
            start = int(rng.integers(0, length - len(MOTIF) + 1))
            codes[row, start : start + len(MOTIF)] = [1 << "ACGT".index(base) for base in MOTIF]
            contributions[row, start : start + len(MOTIF)] += 0.5
            where.add((row, start + 1))
    inputs = Inputs(kind="sequence", values=codes)
    bases = one_hot(codes)
    hypothetical = contributions[:, :, None] * (bases - (1.0 - bases) / 3.0)
    attribution = Attribution(
        inputs=inputs, ids=np.arange(n).astype(str), rows=np.arange(n), values=at_bases(contributions, inputs),
        base_value=np.zeros(n), predictions=contributions.sum(axis=1), completeness=np.zeros(n), method="planted",
        hypothetical=hypothetical,
    )  # fmt: skip
    return attribution, where


@pytest.mark.slow  # numba compiles for a minute
def test_a_planted_motif_is_found_in_its_places() -> None:
    pytest.importorskip("modiscolite")
    attribution, where = planted()
    found = discover(attribution, rng=np.random.default_rng(0))
    motif = found[0]
    assert sum(other.n_seqlets for other in found[1:]) <= 0.2 * motif.n_seqlets
    assert motif.source == "modisco"
    assert motif.consensus in (MOTIF, MOTIF[1:], MOTIF[:-1])
    shift = MOTIF.index(motif.consensus)
    got = {(int(row), int(start) - shift) for row, start in zip(motif.places.sample, motif.places.start, strict=True)}
    assert motif.forward_share > 0.95
    assert len(got & where) >= 0.8 * len(where)
    assert len(got - where) <= 0.1 * len(where)
    assert not motif.whereabouts.positional
    again = discover(attribution, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(again[0].places.start, motif.places.start)


def test_where_it_does_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    attribution, _ = planted(20)
    rng = np.random.default_rng(0)
    with monkeypatch.context() as patched:
        patched.setattr(discovery, "find_spec", lambda name: None)
        with pytest.raises(NotApplicableError, match=r"modisco-lite: pip install 'automl-pheno\[motifs\]'"):
            discover(attribution, rng=rng)
    monkeypatch.setattr(discovery, "find_spec", lambda name: object())
    with pytest.raises(NotApplicableError, match="'planted' does not give"):
        discover(replace(attribution, hypothetical=None), rng=rng)
    with pytest.raises(NotApplicableError, match=f"at least {FEWEST_SEQUENCES} explained sequences, got 20"):
        discover(attribution, rng=rng)
    with pytest.raises(NotApplicableError, match="at least 30 bp, got 25"):
        settings_for(25)
    assert settings_for(200).window == 15
    assert settings_for(1000).window == 21
