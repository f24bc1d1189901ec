import numpy as np
import pytest

from automl_pheno.data import encode_sequences
from automl_pheno.simulate.leaks import SEQUENCE_LEAKS, plant_sequence_leaks, simulate_unrelated
from automl_pheno.splits.audit import alignment as audit_alignment
from automl_pheno.splits.audit import certificate as audit_certificate
from automl_pheno.splits.audit import sequences as audit_sequences
from automl_pheno.splits.audit.alignment import bit_parallel_edits, infix_edits, turned
from automl_pheno.splits.audit.certificate import certify, upper_bound
from automl_pheno.splits.audit.library import find_ancestor
from automl_pheno.splits.audit.seeds import _PATTERNS, find_candidates
from automl_pheno.splits.audit.sequences import (
    best_stretch,
    constant_flanks,
    identities,
    make_sequences,
    scan_sequences,
)
from automl_pheno.splits.audit.sides import find_sides
from automl_pheno.splits.split import Split

LETTERS = np.frombuffer(b"ACGT", dtype=np.uint8)


def text(rng, n):
    return LETTERS[rng.integers(0, 4, n)].tobytes()


def plain_edits(pattern, target):
    """Fill the whole table of Sellers 1980."""
    above = np.zeros(len(target) + 1, dtype=int)
    for letter in pattern:
        here = [above[0] + 1]
        for place, other in enumerate(target):
            same = letter == other and letter in b"ACGT"
            here.append(min(above[place] + (not same), above[place + 1] + 1, here[-1] + 1))
        above = np.array(here)
    return int(above.min())


def examples(n=60, longest=150, seed=0):
    rng = np.random.default_rng(seed)
    patterns, targets = [], []
    for _ in range(n):
        pattern = text(rng, int(rng.integers(1, longest)))
        target = bytearray(text(rng, int(rng.integers(0, 30))) + pattern + text(rng, int(rng.integers(0, 30))))
        for _ in range(int(rng.integers(0, len(pattern) // 3 + 2))):
            target[int(rng.integers(len(target)))] = b"ACGT!"[int(rng.integers(5))]
        if len(target) > 2 and rng.random() < 0.5:
            del target[int(rng.integers(len(target)))]
        patterns.append(pattern)
        targets.append(bytes(target))
    return patterns, targets


def test_edit_distances_are_those_of_the_whole_table():
    patterns, targets = examples()
    expected = [plain_edits(*pair) for pair in zip(patterns, targets, strict=True)]
    np.testing.assert_array_equal(bit_parallel_edits(patterns, targets), expected)


@pytest.mark.parametrize("package", ["edlib", "none"])
def test_edits_above_the_limit_are_not_told(package, monkeypatch):
    if package == "edlib":
        pytest.importorskip("edlib")
    else:
        monkeypatch.setattr(audit_alignment, "edlib", lambda: None)
    patterns, targets = examples(seed=1)
    expected = np.array([plain_edits(*pair) for pair in zip(patterns, targets, strict=True)])
    most = np.resize([0, 3, 200], len(patterns))
    np.testing.assert_array_equal(infix_edits(patterns, targets, most), np.where(expected <= most, expected, -1))


def test_reverse_complement_of_letters():
    assert turned(b"AACG!T") == b"A!CGTT"


def test_patterns_are_their_own_mirror_images():
    for weight, patterns in _PATTERNS.items():
        assert len(set(patterns)) == 2
        for pattern in patterns:
            assert pattern == pattern[::-1]
            assert pattern.count("1") == weight
            assert pattern.startswith("1")


def brute_stretch(a, b, size):
    best = 0
    for i in range(len(a) - size + 1):
        for j in range(len(b) - size + 1):
            best = max(best, sum(x == y and x in "ACGT" for x, y in zip(a[i : i + size], b[j : j + size], strict=True)))
    return best


@pytest.mark.parametrize("reverse", [False, True])
def test_best_stretch_is_that_of_all_shifts(reverse, monkeypatch):
    monkeypatch.setattr(audit_sequences, "FLOOR", 0.0)
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGTN"), p=[0.24] * 4 + [0.04], size=rng.integers(20, 31))) for _ in range(12)]
    codes = encode_sequences(texts)[0]
    a, b = np.arange(6), np.arange(6, 12)
    size = np.full(6, 12)
    found = best_stretch(codes, a, b, np.full(6, reverse), size)
    complement = str.maketrans("ACGTN", "TGCAN")
    others = [one.translate(complement)[::-1] if reverse else one for one in texts]
    expected = [brute_stretch(texts[i], others[j], 12) for i, j in zip(a, b, strict=True)]
    np.testing.assert_array_equal(found, expected)


def test_identity_by_hand():
    rng = np.random.default_rng(0)
    base = text(rng, 100).decode()
    flip = str.maketrans("ACGT", "CATG")
    every_fifth = "".join(letter.translate(flip) if place % 5 == 0 else letter for place, letter in enumerate(base))
    halves = base[:50] + text(rng, 50).decode()
    middle = text(rng, 25).decode() + base[25:75] + text(rng, 25).decode()
    shorter = base[10:90]
    unclear = "N" * 10 + base[10:]
    texts = [base, every_fifth, halves, middle, shorter, unclear, text(rng, 100).decode()]
    sequences = make_sequences(encode_sequences(texts)[0], 0.5)
    rows = np.arange(1, 7)
    found = identities(sequences, np.zeros(6, dtype=int), rows, np.zeros(6, dtype=bool), 0.85)
    np.testing.assert_allclose(found[:5], [0.8, 1.0, 1.0, 1.0, 1.0])  # an ambiguous base is no edit
    assert np.isnan(found[5])
    assert np.isnan(identities(sequences, np.array([0]), np.array([1]), np.array([True]), 0.85))[0]


def test_either_of_two_of_one_length_may_be_the_part():
    rng = np.random.default_rng(0)
    start = text(rng, 50).decode()
    first = text(rng, 30).decode() + start[:20] + "A" + start[20:30] + start[31:] + text(rng, 20).decode()
    second = start + text(rng, 50).decode()
    sequences = make_sequences(encode_sequences([first, second])[0], 0.5)
    for order in ([0, 1], [1, 0]):  # the start of the second with two edits; no stretch without gaps has as much
        a, b = (np.array([row]) for row in order)
        assert identities(sequences, a, b, np.array([False]), 0.9)[0] == pytest.approx(0.96)


@pytest.mark.parametrize("shift", [0, 7, 13, 22, 31, 45])
def test_the_certificate_sees_a_stretch_wherever_it_lies(shift):
    rng = np.random.default_rng(shift)
    texts = [text(rng, 90) for _ in range(80)]
    changed = bytearray(texts[1][shift : shift + 45])
    for place in (*range(4), *range(41, 45)):  # 37 of 45 are equal: 0.82, all others at the ends
        changed[place] = b"ACGT"[(b"ACGT".index(changed[place]) + 1) % 4]
    texts[0] = text(rng, 20) + bytes(changed) + text(rng, 25)
    sequences = make_sequences(encode_sequences([one.decode() for one in texts])[0], 0.5)
    sets = np.array(["test"] + ["train"] * 79)
    split = Split(ids=np.array([f"s{i}" for i in range(80)]), group=np.arange(80), set=sets, fold=np.full(80, -1))
    certificate = certify(sequences, find_sides(split), 0.8, 60.0, rng)
    assert certificate.missed.tolist() == [[0, 1]]
    assert certificate.pairs(0.8).similarity[0] >= 37 / 45


def split_of(data, pairs, rng):
    sets = rng.choice(["train", "validation"], len(data), p=[0.8, 0.2]).astype("<U10")
    sets[np.isin(data.ids, pairs[:, 0])] = "test"
    sets[np.isin(data.ids, pairs[:, 1])] = "train"
    return Split(ids=data.ids, group=np.arange(len(data)), set=sets, fold=np.full(len(data), -1))


@pytest.mark.parametrize("kind", [kind for kind in SEQUENCE_LEAKS if kind not in ("overlap", "mutated_20")])
@pytest.mark.parametrize("rate", [0.01, 0.1])
def test_the_search_finds_every_planted_pair_and_no_other(kind, rate):
    rng = np.random.default_rng(0)
    data, pairs = plant_sequence_leaks(simulate_unrelated(500, 150, rng), kind, rate, rng)
    sides = find_sides(split_of(data, pairs, rng))
    scan = scan_sequences(make_sequences(data.inputs.values, 0.5), sides, 0.8, rng)
    assert scan.crossings["test"].count == len(pairs)
    assert scan.crossings["validation"].count == 0
    row = {name: place for place, name in enumerate(data.ids.tolist())}
    assert [data.ids[scan.nearest[row[first]]] for first, _ in pairs] == pairs[:, 1].tolist()
    assert scan.leak_ratio == 1.0


def test_a_crowd_of_copies_is_met_by_some():
    rng = np.random.default_rng(0)
    texts = [text(rng, 80).decode()] * 1500 + [text(rng, 80).decode() for _ in range(20)]
    codes = encode_sequences(texts)[0]
    sets = np.resize(["train", "test"], len(texts))
    ids = np.array([f"s{i}" for i in range(len(texts))])
    split = Split(ids=ids, group=np.arange(len(ids)), set=sets, fold=np.full(len(ids), -1))
    found = find_candidates(codes, find_sides(split), rng)
    assert found.facts["crowded_words"] > 0
    assert len(found.first) < 200_000
    tested = np.flatnonzero(sets[:1500] == "test")
    assert np.isin(tested, np.r_[found.first, found.second]).all()


@pytest.mark.parametrize("package", ["edlib", "none"])
def test_the_certificate_finds_what_a_blind_search_overlooks(package, monkeypatch):
    if package == "edlib":
        pytest.importorskip("edlib")
    else:
        for room in (audit_alignment, audit_certificate):
            monkeypatch.setattr(room, "edlib", lambda: None)
    rng = np.random.default_rng(0)
    data, pairs = plant_sequence_leaks(simulate_unrelated(120, 90, rng), "reverse_mutated_5", 0.1, rng)
    sides = find_sides(split_of(data, pairs, rng))
    sequences = make_sequences(data.inputs.values, 0.5)
    certificate = certify(sequences, sides, 0.8, 60.0, rng)
    assert (certificate.stage, certificate.compared, certificate.of) == ("test", 12, 12)
    assert certificate.leaking == 12
    assert certificate.bound == 1.0
    assert {tuple(data.ids[pair]) for pair in certificate.missed} == {tuple(pair) for pair in pairs.tolist()}


def test_the_certificate_keeps_its_budget():
    rng = np.random.default_rng(0)
    data, pairs = plant_sequence_leaks(simulate_unrelated(800, 100, rng), "exact", 0.4, rng)
    certificate = certify(
        make_sequences(data.inputs.values, 0.5), find_sides(split_of(data, pairs, rng)), 0.8, 0.0, rng
    )
    assert certificate.compared == 1
    assert certificate.of == 320


@pytest.mark.parametrize(("found", "drawn"), [(0, 300), (0, 20), (3, 50)])
def test_the_bound_is_that_of_the_binomial(found, drawn):
    from scipy.stats import binom

    bound = upper_bound(found, drawn)
    assert binom.cdf(found, drawn, bound) == pytest.approx(0.05)
    if found == 0:
        assert bound == pytest.approx(1.0 - 0.05 ** (1.0 / drawn))
        assert bound == pytest.approx(3.0 / drawn, rel=0.1)
    assert upper_bound(drawn, drawn) == 1.0


def test_constant_flanks_are_left_out():
    rng = np.random.default_rng(0)
    texts = ["ACGTACG" + text(rng, int(rng.integers(30, 41))).decode() + "TTTT" for _ in range(60)]
    codes = encode_sequences(texts)[0]
    left, right = constant_flanks(codes)
    assert (left, right) == (7, 4)
    sequences = make_sequences(codes, 0.5)
    assert sequences.texts == [one[7:-4].encode() for one in texts]
    assert constant_flanks(codes[:10]) == (0, 0)
    assert constant_flanks(np.repeat(codes[:1], 50, axis=0)) == (0, 0)
    assert audit_sequences.FLOOR == 0.7


def test_random_sequences_and_families_are_no_library():
    rng = np.random.default_rng(0)
    codes = (1 << rng.integers(0, 4, (200, 60))).astype(np.uint8)
    assert find_ancestor(codes) is None
    two = np.tile((1 << rng.integers(0, 4, (1, 60))).astype(np.uint8), (200, 1))
    changed = rng.random(two.shape) < 0.05
    two[changed] = (1 << rng.integers(0, 4, changed.sum())).astype(np.uint8)
    assert find_ancestor(two) is not None
    assert find_ancestor(two[:40]) is None
