"""Motifs planted into contributions are found, on both strands, with their sign."""

from __future__ import annotations

import numpy as np
import pytest

from automl_pheno.data.dataset import Inputs
from automl_pheno.explain.attribution import Attribution, at_bases
from automl_pheno.explain.motifs.seqlets import consensus, motif_summary, motif_table, seqlets
from automl_pheno.explain.registry import ExplainError

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def attribution(values: np.ndarray, contributions: np.ndarray) -> Attribution:
    inputs = Inputs(kind="sequence", values=values)
    n = len(values)
    return Attribution(
        inputs=inputs, ids=np.arange(n).astype(str), rows=np.arange(n), values=at_bases(contributions, inputs),
        base_value=np.zeros(n), predictions=contributions.sum(axis=1), completeness=np.zeros(n), method="planted",
    )  # fmt: skip


def planted(motifs: dict[str, float], n: int = 200, length: int = 80, noise: float = 0.05) -> Attribution:
    rng = np.random.default_rng(0)
    values = (1 << rng.integers(0, 4, (n, length))).astype(np.uint8)
    contributions = rng.normal(0.0, noise, (n, length))
    half = length // len(motifs)
    for number, (motif, effect) in enumerate(motifs.items()):
        for row in range(n):
            if rng.random() < 0.5:
                continue
            word = motif if rng.random() < 0.6 else motif.translate(COMPLEMENT)[::-1]
            start = number * half + rng.integers(0, half - len(word) + 1)
            values[row, start : start + len(word)] = [1 << "ACGT".index(base) for base in word]
            contributions[row, start : start + len(word)] += effect
    return attribution(values, contributions)


def same(a: str, b: str) -> bool:
    return b in a or b.translate(COMPLEMENT)[::-1] in a


def test_planted_motifs_are_found_with_their_signs() -> None:
    truth = {"TGACTCAT": 0.5, "GGATAAGC": -0.4}
    found = motif_summary(planted(truth))
    assert len(found) == 2
    for motif, effect in truth.items():
        match = next(f for f in found if same(f.consensus, motif))
        assert np.sign(match.mean_contribution) == np.sign(effect)
        assert match.mean_contribution == pytest.approx(effect * 8, rel=0.1)
        assert 75 <= match.n_seqlets <= 125
        assert 0.5 <= match.forward_share <= 0.75
        np.testing.assert_allclose(match.frequencies.sum(axis=1), 1.0)
    table = motif_table(found)
    assert table["motif"].tolist() == [1, 2]
    assert set(table["effect"]) == {"raises", "lowers"}


def test_noise_has_no_motifs() -> None:
    rng = np.random.default_rng(1)
    values = (1 << rng.integers(0, 4, (200, 80))).astype(np.uint8)
    assert motif_summary(attribution(values, rng.normal(size=values.shape))) == []
    assert motif_summary(attribution(values, np.zeros(values.shape))) == []
    assert next(iter(motif_table([]).columns)) == "motif"


def test_seqlets_do_not_overlap_and_fall_in_size() -> None:
    explained = planted({"TGACTCAT": 0.5})
    windows = seqlets(explained, sign=1)
    sums = explained.contributions
    sizes = [sums[s, p : p + 10].sum() for s, p in zip(windows.sample, windows.start, strict=True)]
    assert (np.diff(sizes) <= 1e-9).all()
    for sample in np.unique(windows.sample):
        starts = np.sort(windows.start[windows.sample == sample])
        assert (np.diff(starts) >= 10).all()


def test_short_sequences_have_none() -> None:
    assert motif_summary(attribution(np.ones((30, 5), dtype=np.uint8), np.ones((30, 5)))) == []


def test_genotypes_are_refused() -> None:
    inputs = Inputs(kind="genotype", values=np.zeros((2, 3), dtype=np.float32))
    explained = Attribution(
        inputs=inputs, ids=np.array(["a", "b"]), rows=np.arange(2), values=np.zeros((2, 3)), base_value=np.zeros(2),
        predictions=np.zeros(2), completeness=np.zeros(2), method="planted",
    )  # fmt: skip
    with pytest.raises(ExplainError, match="got genotypes"):
        motif_summary(explained)


def test_consensus_letters() -> None:
    rows = np.array([[0.9, 0.1, 0, 0], [0.5, 0, 0.5, 0], [0.25] * 4, [0, 0.45, 0, 0.55]])
    assert consensus(rows) == "ARNT"
