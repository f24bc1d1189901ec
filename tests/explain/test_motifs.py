"""Motifs planted into contributions are found, on both strands, with their sign and their places."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.explain.attribution import Attribution, at_bases
from automl_pheno.explain.motifs.meme import read_meme
from automl_pheno.explain.motifs.places import Places, fullest_bin, place_of, place_words, whereabouts
from automl_pheno.explain.motifs.pwm import (
    consensus,
    covered,
    frequencies_of,
    information,
    informative_part,
    likeness,
    reverse_complement,
)
from automl_pheno.explain.motifs.seqlets import motif_summary, motif_table, places_table
from automl_pheno.explain.motifs.windows import FLANK, seqlets
from automl_pheno.explain.parts.motifs import motifs
from automl_pheno.explain.parts.protocol import NotApplicableError, PartRequest
from automl_pheno.explain.registry import ExplainError
from automl_pheno.predictors.mean import Mean

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def attribution(values: np.ndarray, contributions: np.ndarray) -> Attribution:
    inputs = Inputs(kind="sequence", values=values)
    n = len(values)
    return Attribution(
        inputs=inputs, ids=np.arange(n).astype(str), rows=np.arange(n), values=at_bases(contributions, inputs),
        base_value=np.zeros(n), predictions=contributions.sum(axis=1), completeness=np.zeros(n), method="planted",
    )  # fmt: skip


def planted(
    motifs: dict[str, float], n: int = 200, length: int = 80, noise: float = 0.05, at: int | None = None
) -> tuple[Attribution, list[tuple[str, int, int, str]]]:
    """Return contributions with motifs in half of the sequences, and (motif, row, first base from 1, strand)."""
    rng = np.random.default_rng(0)
    values = (1 << rng.integers(0, 4, (n, length))).astype(np.uint8)
    contributions = rng.normal(0.0, noise, (n, length))
    half = length // len(motifs)
    truth = []
    for number, (motif, effect) in enumerate(motifs.items()):
        for row in range(n):
            if rng.random() < 0.5:
                continue
            forward = rng.random() < 0.6
            word = motif if forward else motif.translate(COMPLEMENT)[::-1]
            start = number * half + rng.integers(0, half - len(word) + 1) if at is None else at + rng.integers(-2, 3)
            values[row, start : start + len(word)] = [1 << "ACGT".index(base) for base in word]
            contributions[row, start : start + len(word)] += effect
            truth.append((motif, row, int(start) + 1, "+" if forward else "-"))
    return attribution(values, contributions), truth


def same(a: str, b: str) -> bool:
    return b in a or b.translate(COMPLEMENT)[::-1] in a


def request(explained: Attribution) -> PartRequest:
    n = len(explained)
    return PartRequest(
        predictor=Mean(), score=lambda inputs: np.zeros(len(inputs)), attribution=explained,
        training=Examples(inputs=explained.inputs, y=np.zeros(n), groups=np.arange(n)), ids=explained.ids,
        columns=pd.DataFrame(index=explained.ids), rng=np.random.default_rng(1),
    )  # fmt: skip


def test_planted_motifs_are_found_with_their_signs_and_places() -> None:
    truth = {"TGACTCAT": 0.5, "GGATAAGC": -0.4}
    explained, where = planted(truth)
    found = motif_summary(explained)
    assert len(found) == 2
    table = motif_table(found)
    places = places_table(found, explained)
    for motif, effect in truth.items():
        number, match = next((i, f) for i, f in enumerate(found, start=1) if same(f.consensus, motif))
        assert np.sign(match.mean_contribution) == np.sign(effect)
        assert match.mean_contribution == pytest.approx(effect * 8, rel=0.1)
        assert 0.5 <= match.forward_share <= 0.75
        assert match.chance_share < 0.4
        np.testing.assert_allclose(match.frequencies.sum(axis=1), 1.0)
        assert match.consensus == motif  # most have it forward
        own = places[places["motif"] == number]
        got = set(zip(own["id"].astype(int), own["start"], own["strand"], strict=True))
        wanted = {(row, start, strand) for name, row, start, strand in where if name == motif}
        assert len(got & wanted) >= 0.95 * len(wanted)
        assert len(got - wanted) <= 0.05 * len(wanted)
        assert (own["end"] - own["start"] + 1 == 8).all()
        row = table.set_index("motif").loc[number]
        assert row["n_seqlets"] == len(own)
        assert row["n_sequences"] == own["id"].nunique()
        middle = (own["start"] + own["end"]) / 2
        assert row["median_place"] == middle.median()
        assert row["median_from_end"] == (80 - middle).median()
    assert table["motif"].tolist() == [1, 2]
    assert set(table["effect"]) == {"raises", "lowers"}
    assert set(table["source"]) == {"seqlets"}


def test_only_a_motif_that_is_bound_to_a_place_is_positional() -> None:
    bound = motif_table(motif_summary(planted({"TATAAATA": 0.5}, at=40)[0])).iloc[0]
    assert bound["positional"]
    assert bound["mode_place"] == pytest.approx(44.5, abs=1)
    assert bound["mode_from_end"] == pytest.approx(35.5, abs=1)
    assert bound["share_near_mode"] > 0.95
    free = motif_table(motif_summary(planted({"TATAAATA": 0.5})[0])).iloc[0]
    assert not free["positional"]
    assert free["share_near_mode"] == pytest.approx(free["share_by_chance"], abs=0.1)


def test_even_places_are_seldom_called_positional_and_places_at_the_end_are_seen_from_there() -> None:
    rng = np.random.default_rng(3)
    n = 60

    def at(start: np.ndarray, length: np.ndarray) -> Places:
        return Places(
            sample=np.arange(n), start=start, end=start + 7, forward=np.ones(n, bool), length=length,
            contribution=rng.gamma(2.0, size=n),
        )  # fmt: skip

    fixed = np.full(n, 120)
    p = [whereabouts(at(rng.integers(1, 114, n), fixed), rng).p for _ in range(60)]
    assert np.mean(np.array(p) <= 0.1) <= 0.2
    lengths = rng.integers(60, 200, n)
    from_end = whereabouts(at(lengths - 30 + rng.integers(-2, 3, n), lengths), rng)
    assert from_end.positional
    assert from_end.mode_from_end == pytest.approx(26.5, abs=1.5)
    assert from_end.anchor == "last"
    assert not whereabouts(at((rng.random(n) * (lengths - 7)).astype(int) + 1, lengths), rng).positional
    from_start = whereabouts(at(40 + rng.integers(-2, 3, n), lengths), rng)
    assert (from_start.positional, from_start.anchor) == (True, "first")
    assert from_start.mode_place == pytest.approx(43.5, abs=1.5)


def test_a_sharp_peak_is_the_place_and_not_the_hill_beside_it() -> None:
    # as the TATA box of plant promoters: 60 places within 3 bp of 33, and 130 spread over 39 to 58
    rng = np.random.default_rng(5)
    distance = np.concatenate([rng.integers(32, 35, 60), rng.integers(39, 59, 130)])
    n = len(distance)
    places = Places(
        sample=np.arange(n), start=170 - distance, end=170 - distance, forward=np.ones(n, bool),
        contribution=np.ones(n), length=np.full(n, 170),
    )  # fmt: skip
    found = whereabouts(places, rng)
    assert found.positional
    assert found.mode_from_end == pytest.approx(33, abs=1)
    first, last = fullest_bin(places.from_end, places.contribution, 170)
    assert first <= found.mode_from_end <= last


@pytest.mark.parametrize(
    ("row", "place", "words"),
    [
        (
            {"positional": True, "anchor": "last", "mode_from_end": 33.4, "mode_place": 9.0},
            (33.4, "last"),
            "33 bp before",
        ),
        (
            {"positional": "True", "anchor": "first", "mode_from_end": 33.4, "mode_place": 9.0},
            (9.0, "first"),
            "at base 9",
        ),
        ({"positional": False, "anchor": "last", "mode_from_end": 50.0}, None, ""),
        ({"positional": True, "mode_from_end": float("nan"), "median_from_end": 7.0}, (7.0, "last"), "7 bp"),
        ({"median_from_end": 7.0}, None, ""),
    ],
)
def test_a_motif_has_one_place_or_none(row: dict[str, object], place: object, words: str) -> None:
    assert place_of(row) == place
    assert place_words(row).startswith(words)
    assert bool(place_words(row)) == (place is not None)


def test_weak_motifs_are_found_beside_a_strong_one() -> None:
    found = motif_summary(planted({"TATAAATA": 2.0, "GCCACGTG": 0.3})[0])
    assert any(same(f.consensus, "GCCACGTG") for f in found)
    assert same(found[0].consensus, "TATAAATA")


def test_noise_has_no_motifs() -> None:
    rng = np.random.default_rng(1)
    values = (1 << rng.integers(0, 4, (200, 80))).astype(np.uint8)
    assert motif_summary(attribution(values, rng.normal(size=values.shape))) == []
    assert motif_summary(attribution(values, np.zeros(values.shape))) == []
    assert next(iter(motif_table([]).columns)) == "motif"


def test_base_composition_is_no_motif() -> None:
    """Runs where G and C raise in any order have contributions like a motif's, but no pattern."""
    rng = np.random.default_rng(2)
    values = (1 << rng.integers(0, 4, (200, 80))).astype(np.uint8)
    contributions = rng.normal(0.0, 0.02, values.shape)
    for row in range(200):
        start = rng.integers(0, 68)
        values[row, start : start + 12] = rng.choice([2, 4], 12)
        contributions[row, start : start + 12] += 0.5
    assert len(seqlets(attribution(values, contributions), sign=1, rng=rng)) > 100
    assert motif_summary(attribution(values, contributions)) == []


def test_seqlets_do_not_overlap_and_fall_in_size() -> None:
    explained = planted({"TGACTCAT": 0.5})[0]
    windows = seqlets(explained, sign=1, rng=np.random.default_rng(0))
    sums = explained.contributions
    sizes = [sums[s, p : p + 10].sum() for s, p in zip(windows.sample, windows.start, strict=True)]
    assert (np.diff(sizes) <= 1e-9).all()
    np.testing.assert_allclose(windows.contributions[:, FLANK:-FLANK].sum(axis=(1, 2)), sizes)
    for sample in np.unique(windows.sample):
        starts = np.sort(windows.start[windows.sample == sample])
        assert (np.diff(starts) >= 10).all()


def test_padding_has_no_seqlets() -> None:
    explained = planted({"TGACTCAT": 0.5})[0]
    values = explained.inputs.values.copy()
    values[:100, 50:] = 0
    contributions = explained.contributions.copy()
    contributions[:100, 50:] = 3.0  # of an imagined method that spreads something there
    padded = attribution(values, contributions)
    windows = seqlets(padded, sign=1, rng=np.random.default_rng(0))
    assert (windows.start[windows.sample < 100] <= 40).all()
    found = motif_summary(padded)
    assert same(found[0].consensus, "TGACTCAT")
    lengths = np.where(np.arange(200) < 100, 50, 80)
    assert (found[0].places.end <= lengths[found[0].places.sample]).all()


def test_short_sequences_have_none() -> None:
    assert motif_summary(attribution(np.ones((30, 5), dtype=np.uint8), np.ones((30, 5)))) == []


def test_the_part_writes_what_was_found() -> None:
    explained, _ = planted({"TGACTCAT": 0.5, "GGATAAGC": -0.4})
    part = motifs(request(explained))
    again = motifs(request(explained))
    pd.testing.assert_frame_equal(part.tables["motifs"], again.tables["motifs"])
    assert list(part.tables["motif_places"].columns) == [
        "motif", "id", "start", "end", "strand", "contribution", "from_end",
    ]  # fmt: skip
    read = read_meme(part.texts["motifs.meme"])
    assert [motif.name for motif in read] == ["motif_1", "motif_2"]
    for number, motif in enumerate(read, start=1):
        np.testing.assert_allclose(motif.frequencies, part.arrays["motifs"][f"frequencies_{number}"], atol=1e-5)
        assert part.arrays["motifs"][f"contributions_{number}"].shape == motif.frequencies.shape
    nothing = motifs(request(attribution(explained.inputs.values, np.zeros((200, 80)))))
    assert nothing.facts["motifs"] == 0
    assert "no pattern" in nothing.notes[0]
    assert nothing.tables["motif_places"].empty


def test_genotypes_are_refused() -> None:
    inputs = Inputs(kind="genotype", values=np.zeros((2, 3), dtype=np.float32))
    explained = Attribution(
        inputs=inputs, ids=np.array(["a", "b"]), rows=np.arange(2), values=np.zeros((2, 3)), base_value=np.zeros(2),
        predictions=np.zeros(2), completeness=np.zeros(2), method="planted",
    )  # fmt: skip
    with pytest.raises(ExplainError, match="got genotypes"):
        motif_summary(explained)
    with pytest.raises(NotApplicableError, match="genotypes"):
        motifs(replace(request(explained)))


def test_consensus_letters() -> None:
    rows = np.array([[0.9, 0.1, 0, 0], [0.5, 0, 0.5, 0], [0.25] * 4, [0, 0.45, 0, 0.55]])
    assert consensus(rows) == "ARNT"


def test_matrices_of_frequencies() -> None:
    np.testing.assert_allclose(information(np.array([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4])), [2.0, 1.0, 0.0])
    np.testing.assert_allclose(frequencies_of(np.array([[3.0, 1, 0, 0]]), 0.0), [[0.75, 0.25, 0, 0]])
    tata = frequencies_of(np.eye(4)[[3, 0, 3, 0, 0, 0]] * 99)
    framed = np.concatenate([np.full((3, 4), 0.25), tata, np.full((2, 4), 0.25)])
    assert informative_part(framed) == slice(3, 9)
    assert informative_part(np.full((3, 4), 0.25)) == slice(0, 0)
    assert consensus(reverse_complement(tata)) == "TTTATA"
    flipped = reverse_complement(framed) - 0.25
    assert likeness(tata - 0.25, flipped) == pytest.approx(1.0)
    assert likeness(tata - 0.25, flipped, both_strands=False) < 0.9
    assert covered(tata[:4] - 0.25, framed - 0.25) == pytest.approx(1.0)
    assert covered(framed - 0.25, tata[:4] - 0.25) < 0.9
