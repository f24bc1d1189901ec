import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Dataset, Inputs, encode_sequences
from automl_pheno.errors import SplitError
from automl_pheno.simulate import simulate_genotypes
from automl_pheno.simulate.leaks import plant_sequence_leaks, simulate_unrelated
from automl_pheno.splits import candidates
from automl_pheno.splits.align import Jobs, align_by_numpy, make_bases
from automl_pheno.splits.candidates import SimilarityRules
from automl_pheno.splits.groups import union
from automl_pheno.splits.similarity import find_similar, similarity

# k is chosen so that 5 % of edits are found for certain
CERTAIN = ["exact", "reverse_complement", "mutated_1", "mutated_2", "mutated_5", "reverse_mutated_5", "indel_5", "half"]
MEASURED = {"mutated_10": 1.0, "shifted": 1.0, "mutated_20": 0.9}


def dataset_of(codes):
    ids = np.array([f"s{i}" for i in range(len(codes))])
    empty = pd.DataFrame(index=ids)
    return Dataset(name="x", ids=ids, inputs=Inputs(kind="sequence", values=codes), traits=empty, columns=empty)


def together(found, dataset, planted):
    """Share of planted samples that are in a pair with their source, or share its label."""
    row = {name: number for number, name in enumerate(dataset.ids.tolist())}
    pairs = set(zip(found.pairs.first.tolist(), found.pairs.second.tolist(), strict=True))
    both = [tuple(sorted((row[str(a)], row[str(b)]))) for a, b in planted]
    return np.mean([pair in pairs or found.labels[pair[0]] == found.labels[pair[1]] for pair in both])


def strangers(found, dataset, planted):
    """Pairs of samples that do not come from one source."""
    row = {name: number for number, name in enumerate(dataset.ids.tolist())}
    origin = np.arange(len(dataset))
    for a, b in planted:
        origin[row[str(a)]] = row[str(b)]
    return int((origin[found.pairs.first] != origin[found.pairs.second]).sum())


@pytest.mark.parametrize("rate", [0.01, 0.2])
@pytest.mark.parametrize("kind", [*CERTAIN, *MEASURED])
def test_planted_leaks_are_found(kind, rate):
    rng = np.random.default_rng(0)
    dataset, planted = plant_sequence_leaks(simulate_unrelated(400, 170, rng), kind, rate, rng)
    found = similarity(dataset, None)
    assert together(found, dataset, planted) >= (1.0 if kind in CERTAIN else MEASURED[kind])
    assert strangers(found, dataset, planted) == 0
    assert found.facts["certain_edits"] >= 0.05
    assert (found.pairs.similarity >= 0.8).all()
    assert (found.pairs.first < found.pairs.second).all()


def test_unrelated_sequences_are_not_similar():
    found = similarity(simulate_unrelated(2000, 100, np.random.default_rng(1)), None)
    assert len(found.pairs) == 0
    assert len(np.unique(found.labels)) == 2000


def brute_identity(codes, threshold):
    """Whole sequences only: 1 - fewest edits / length of the shorter, over all pairs and both strands."""
    bases = make_bases(codes)
    a, b = np.triu_indices(len(codes), 1)
    shorter = np.where(bases.lengths[b] < bases.lengths[a], b, a)
    longer = a + b - shorter
    length = bases.lengths[shorter]
    jobs = [
        Jobs(query=shorter, begin=0 * a, end=length, target=longer, reverse=np.full(len(a), strand), limit=length)
        for strand in (False, True)
    ]
    edits = np.minimum(*(align_by_numpy(bases, one) for one in jobs))
    return a, b, edits, length


def family(rng, n, length, most):
    """Copies of one sequence with up to `most` edits, some of them insertions, deletions or cut at the ends."""
    source = rng.choice(list("ACGT"), length)
    texts = []
    for _ in range(n):
        text = source.tolist()
        for _ in range(rng.integers(0, most + 1)):
            place = int(rng.integers(len(text)))
            text[place : place + int(rng.integers(0, 2))] = [*rng.choice(list("ACGT"), rng.integers(0, 3))]
        if rng.random() < 0.3:
            text = text[: -int(rng.integers(1, length // 2))]
        texts.append("".join(text))
    return texts


@pytest.mark.parametrize("seed", range(4))
def test_the_guarantee_holds_against_all_pairs(seed):
    rng = np.random.default_rng(seed)
    texts = [text for _ in range(12) for text in family(rng, 6, int(rng.integers(50, 160)), 6)]
    codes, _ = encode_sequences(texts)
    found = similarity(dataset_of(codes), None)
    a, b, edits, length = brute_identity(codes, 0.8)
    pairs = dict(zip(zip(found.pairs.first.tolist(), found.pairs.second.tolist(), strict=True), found.pairs.similarity,
                     strict=True))  # fmt: skip
    assert found.facts["less_certain_sequences"] == 0
    certain = edits <= found.facts["certain_edits"] * length
    same = found.labels[a] == found.labels[b]
    missed = [pair for pair in np.flatnonzero(certain & ~same) if (a[pair], b[pair]) not in pairs]
    assert certain.sum() > 30
    assert not missed
    for pair in np.flatnonzero(edits <= np.floor(0.2 * length)):
        identity = pairs.get((int(a[pair]), int(b[pair])))
        assert identity is None or identity == pytest.approx(1.0 - edits[pair] / length[pair])


def test_sequences_with_few_k_mers_are_named_as_exceptions_and_still_found():
    rng = np.random.default_rng(4)
    codes = simulate_unrelated(397, 120, rng).inputs.values
    repeats = encode_sequences(["AT" * 60, "AT" * 50 + "GT" * 10, "A" * 60 + "C" * 60])[0]
    found = similarity(dataset_of(np.concatenate([codes, repeats])), None)
    assert found.facts["less_certain_sequences"] == 3
    assert found.facts["least_certain_edits"] < 0.05 <= found.facts["certain_edits"]
    assert "Of 3 sequences with few different" in found.guarantee
    assert list(zip(found.pairs.first, found.pairs.second, strict=True)) == [(397, 398)]


def test_numpy_and_edlib_find_the_same():
    pytest.importorskip("edlib")
    rng = np.random.default_rng(5)
    texts = [text for _ in range(15) for text in family(rng, 5, 100, 30)]
    texts[3] = texts[3][:20] + "NNNNN" + texts[3][25:]
    dataset = dataset_of(encode_sequences(texts)[0])
    by_edlib = similarity(dataset, None)
    by_numpy = find_similar(dataset, SimilarityRules(), (align_by_numpy, "NumPy"))
    assert by_edlib.facts["aligner"] == "edlib"
    for name in ("first", "second", "similarity"):
        np.testing.assert_array_equal(getattr(by_edlib.pairs, name), getattr(by_numpy.pairs, name))
    assert len(by_numpy.pairs) > 50


def test_constant_flanks_do_not_make_sequences_similar():
    rng = np.random.default_rng(6)
    core = simulate_unrelated(100, 60, rng).inputs.values
    flank = simulate_unrelated(1, 60, rng).inputs.values
    codes = np.concatenate([np.repeat(flank, 100, 0), core, np.repeat(flank[:, ::-1], 100, 0)], axis=1)
    codes[7, 3] = 1 if codes[7, 3] != 1 else 2  # not quite constant
    codes[8] = codes[9]
    codes[8, 100] = 1 if codes[8, 100] != 1 else 2
    found = similarity(dataset_of(codes), None)
    assert list(zip(found.pairs.first, found.pairs.second, strict=True)) == [(8, 9)]
    assert found.pairs.similarity[0] == pytest.approx(1 - 1 / 60)
    assert (found.facts["left_flank"], found.facts["right_flank"]) == (60, 60)
    assert "60 bp left, 60 bp right" in found.notes[0]
    assert "without the constant flanks" in found.guarantee


def test_a_copy_is_like_what_its_original_is_like():
    rng = np.random.default_rng(7)
    codes = simulate_unrelated(30, 100, rng).inputs.values
    near = codes[:1].copy()
    near[0, 50] = 1 if near[0, 50] != 1 else 2
    found = similarity(dataset_of(np.concatenate([codes, near, codes[:1], near])), None)
    assert found.labels[0] == found.labels[31] != found.labels[30] == found.labels[32]
    assert set(zip(found.pairs.first, found.pairs.second, strict=True)) == {(0, 30), (0, 32), (30, 31), (31, 32)}
    assert len(np.unique(union([found.labels]))) == 31


def test_ambiguous_bases_neither_agree_nor_differ():
    rng = np.random.default_rng(8)
    codes = simulate_unrelated(30, 120, rng).inputs.values
    masked = codes[:1].copy()
    masked[0, 20:60] = 15
    strange = codes[1:2].copy()
    strange[0, :100] = 15  # too little is left to tell
    found = similarity(dataset_of(np.concatenate([codes, masked, strange])), None)
    assert list(zip(found.pairs.first, found.pairs.second, strict=True)) == [(0, 30)]
    assert found.pairs.similarity.tolist() == [1.0]


def test_a_higher_identity_keeps_fewer_together():
    rng = np.random.default_rng(9)
    dataset, _ = plant_sequence_leaks(simulate_unrelated(300, 200, rng), "mutated_10", 0.1, rng)
    loose, strict = similarity(dataset, "0.85").pairs, similarity(dataset, "0.95").pairs
    assert len(loose) == 30
    assert len(strict) < 15  # halves of some have few of the mutations
    assert (strict.threshold, strict.similarity.min(initial=1.0) >= 0.95) == (0.95, True)


def test_a_threshold_within_the_guarantee_is_met_for_certain():
    rng = np.random.default_rng(10)
    dataset, planted = plant_sequence_leaks(simulate_unrelated(300, 200, rng), "mutated_5", 0.1, rng)
    found = similarity(dataset, "0.95")
    assert together(found, dataset, planted) == 1.0
    assert "at most 10 edits (5 % of its bases)" in found.guarantee
    assert "not all" not in found.guarantee


def test_the_guarantee_states_dropped_k_mers(monkeypatch):
    monkeypatch.setattr(candidates, "_MOST_PRODUCTS", 2e4)
    rng = np.random.default_rng(11)
    codes = simulate_unrelated(100, 150, rng).inputs.values
    codes[:60, 40:60] = codes[0, 40:60]
    found = similarity(dataset_of(codes), None)
    assert found.facts["k_mers_dropped"] > 0
    assert "were not compared" in found.guarantee


@pytest.mark.parametrize("argument", ["high", "0.2", "1.1", "nan", "80"])
def test_an_impossible_identity_is_refused(argument):
    with pytest.raises(SplitError, match=r"similarity needs an identity of 0\.7 to 1"):
        similarity(simulate_unrelated(5, 50, np.random.default_rng(0)), argument)


def test_genotypes_are_refused():
    with pytest.raises(SplitError, match="relatedness"):
        similarity(simulate_genotypes(n=60, n_variants=100)[0], None)


def test_a_library_of_mutants_is_refused_rather_than_compared(monkeypatch):
    monkeypatch.setattr(candidates, "MOST_CANDIDATES", 1000)
    rng = np.random.default_rng(12)
    codes = np.repeat(simulate_unrelated(1, 200, rng).inputs.values, 80, axis=0)
    codes[np.arange(80), np.arange(80) * 2] = 15
    codes[:, ::10] = simulate_unrelated(80, 20, rng).inputs.values
    with pytest.raises(SplitError, match="mutants of one sequence"):
        similarity(dataset_of(codes), None)


@pytest.mark.parametrize("n", [1, 2])
def test_one_or_two_sequences(n):
    found = similarity(simulate_unrelated(n, 30, np.random.default_rng(0)), None)
    assert found.labels.tolist() == list(range(n))
    assert len(found.pairs) == 0


@pytest.mark.slow
@pytest.mark.data
def test_jores_promoters_have_the_near_copies_of_the_readme(data_folder):
    table = pd.read_csv(data_folder / "jores_promoters" / "promoters.csv.gz", usecols=["sequence"])
    dataset = dataset_of(encode_sequences(table["sequence"].tolist())[0])
    found = similarity(dataset, None)
    bases, pairs = make_bases(dataset.inputs.values), found.pairs
    zero = np.zeros(len(pairs), dtype=np.int64)
    jobs = [
        Jobs(query=pairs.first, begin=zero, end=zero + 170, target=pairs.second, reverse=np.full(len(pairs), strand),
             limit=zero + 34) for strand in (False, True)]  # fmt: skip
    edits = np.minimum(*(align_by_numpy(bases, one) for one in jobs))
    # the README: <= 5 % 219, <= 10 % 602, <= 20 % 789 (a lower bound: three shared 12-mers)
    assert abs(int((edits <= 0.05 * 170).sum()) - 219) <= 2
    assert int((edits <= 0.1 * 170).sum()) == 602
    assert 789 <= int((edits <= 0.2 * 170).sum()) <= 800
    assert len(pairs) > 789  # shared halves, as of transposable elements, add to them
    assert len(np.unique(found.labels)) == len(dataset)  # the README: no exact or reverse-complement duplicates
