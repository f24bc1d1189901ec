import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.data import Dataset, Inputs, encode_sequences, read_dataset
from automl_pheno.errors import SplitError
from automl_pheno.simulate.families import simulate_families
from automl_pheno.simulate.leaks import plant_genotype_leaks
from automl_pheno.splits import genotype_pairs, relatedness
from automl_pheno.splits.genotype_pairs import TooManyPairsError, compare_genotypes
from automl_pheno.splits.relatedness import family
from automl_pheno.splits.relatedness import relatedness as related
from automl_pheno.splits.thresholds import KINSHIP_LADDER


def genotypes(values, variants=None, **columns):
    ids = np.array([f"s{i}" for i in range(len(values))])
    inputs = Inputs(kind="genotype", values=np.asarray(values, dtype=np.float32), variants=variants)
    return Dataset(
        name="x", ids=ids, inputs=inputs, traits=pd.DataFrame(index=ids), columns=pd.DataFrame(columns, index=ids)
    )


def random_dosages(n, p, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    values = rng.binomial(2, rng.uniform(0.1, 0.9, size=p), size=(n, p)).astype(np.float32)
    values[rng.random(values.shape) < missing] = np.nan
    return values


def codes_of(values):
    return np.where(np.isnan(values), 3, values).astype(np.int8)


def king_of_two(a, b):
    """Manichaikul et al. 2010, equation 11, marker by marker."""
    both_het = opposite = n_a = n_b = shared = differ = 0
    for x, y in zip(a, b, strict=True):
        if np.isnan(x) or np.isnan(y):
            continue
        shared += 1
        differ += x != y
        n_a += x == 1
        n_b += y == 1
        both_het += x == 1 and y == 1
        opposite += abs(x - y) == 2
    least = min(n_a, n_b)
    if least == 0:
        return 0.5 if shared and not differ else np.nan
    return (both_het - 2 * opposite) / (2 * least) + 0.5 - (n_a + n_b) / (4 * least)


def ibs_of_two(a, b):
    known = ~(np.isnan(a) | np.isnan(b))
    return 1.0 - np.abs(a - b)[known].mean() / 2.0 if known.any() else np.nan


def grm_of_two(a, b, mean, sd):
    known = ~(np.isnan(a) | np.isnan(b))
    za, zb = ((a - mean) / sd)[known], ((b - mean) / sd)[known]
    length = np.sqrt((za @ za) * (zb @ zb))
    return za @ zb / length if length > 0 else np.nan


def brute(values, estimator):
    mean = np.nanmean(values, axis=0)
    sd = np.sqrt(mean * (1 - mean / 2))
    out = {}
    for i in range(len(values)):
        for j in range(i + 1, len(values)):
            a, b = values[i], values[j]
            if estimator == "king":
                out[i, j] = king_of_two(a, b)
            else:
                out[i, j] = ibs_of_two(a, b) if estimator == "ibs" else grm_of_two(a, b, mean, sd)
    return out


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("estimator", ["king", "ibs", "grm"])
def test_every_pair_is_that_of_the_formula_whatever_the_blocks(estimator, missing, monkeypatch):
    values = random_dosages(40, 60, seed=3, missing=missing)
    values[7] = values[3]
    values[20] = np.where(np.isnan(values[20]), np.nan, np.where(values[20] > 0, 2, 0))  # without heterozygotes
    values[21] = values[20]
    truth = brute(values.astype(np.float64), estimator)
    monkeypatch.setattr(genotype_pairs, "_BLOCK", 60 * 7)
    monkeypatch.setattr(genotype_pairs, "_LEAST_ROWS", 1)
    found = compare_genotypes(codes_of(values), estimator, (-0.9, 0.3))
    expected = {pair: value for pair, value in truth.items() if value >= -0.9}
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == sorted(expected)
    np.testing.assert_allclose(found.similarity, [expected[pair] for pair in sorted(expected)], atol=2e-5)
    assert found.undefined == sum(np.isnan(value) for value in truth.values())
    assert found.histogram.sum() == len(truth) - found.undefined
    assert found.counts[0.3] == sum(value >= 0.3 for value in truth.values())
    called = ~np.isnan(values)
    shared = called.astype(int) @ called.T.astype(int)
    assert found.fewest_shared == shared[np.triu_indices(40, 1)].min()
    assert found.highest == pytest.approx(max(value for value in truth.values() if not np.isnan(value)), abs=2e-5)
    assert found.highest == pytest.approx(truth[found.highest_pair], abs=2e-5)


@given(st.integers(2, 7), st.integers(1, 9), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_king_and_ibs_equal_the_formula_on_any_calls(n, p, seed):
    values = np.random.default_rng(seed).choice([0.0, 1.0, 2.0, np.nan], size=(n, p))
    for estimator in ("king", "ibs"):
        of_two = king_of_two if estimator == "king" else ibs_of_two
        truth = {(i, j): of_two(values[i], values[j]) for i in range(n) for j in range(i + 1, n)}
        found = compare_genotypes(codes_of(values), estimator, (-1e6,))
        got = dict(zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.similarity, strict=True))
        assert set(got) == {pair for pair, value in truth.items() if not np.isnan(value)}
        for pair, value in got.items():
            assert value == pytest.approx(truth[pair], abs=1e-9)


def test_expected_kinship_of_a_pedigree_is_met():
    data, truth = simulate_families(30, full_sibs=2, half_sibs=2, duplicates=1, unrelated=20, n_variants=4000,
                                    rng=np.random.default_rng(0))  # fmt: skip
    found = compare_genotypes(codes_of(data.inputs.values), "king", (-1.0,))
    place = {str(name): row for row, name in enumerate(data.ids)}
    rows = {tuple(sorted((place[a], place[b]))): relation
            for a, b, relation in truth[["first", "second", "relation"]].itertuples(index=False)}  # fmt: skip
    by_relation = {}
    for a, b, value in zip(found.first.tolist(), found.second.tolist(), found.similarity, strict=True):
        by_relation.setdefault(rows.get((a, b), "none"), []).append(value)
    for relation, kinship in (("duplicate", 0.5), ("full_sib", 0.25), ("half_sib", 0.125), ("none", 0.0)):
        assert np.mean(by_relation[relation]) == pytest.approx(kinship, abs=0.02)


@pytest.mark.parametrize("errors", [0.0, 0.01, 0.02])
def test_every_planted_duplicate_is_found_despite_errors(errors):
    rng = np.random.default_rng(5)
    values = random_dosages(150, 3000, seed=1)
    copies = values[:15].copy()
    wrong = rng.random(copies.shape) < errors
    copies[wrong] = rng.binomial(2, 0.5, size=int(wrong.sum()))
    found = related(genotypes(np.vstack([values, copies])), f"king={KINSHIP_LADDER[2]}")
    assert list(zip(found.pairs.first.tolist(), found.pairs.second.tolist(), strict=True)) == [
        (i, 150 + i) for i in range(15)
    ]


def planted_and_found(kind, rate, n_chromosomes, argument=None, seed=11):
    """Return the planted pairs, those found, and what was found; a chromosome is one Morgan."""
    rng = np.random.default_rng(seed)
    base, _ = simulate_families(0, unrelated=200, n_variants=10_000, n_chromosomes=n_chromosomes, rng=rng)
    data, leaked = plant_genotype_leaks(base, kind, rate, rng)
    found = related(data, argument)
    ids = data.ids.tolist()
    rows = zip(found.pairs.first.tolist(), found.pairs.second.tolist(), strict=True)
    return {(str(a), str(b)) for a, b in leaked}, {(ids[b], ids[a]) for a, b in rows}, found


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("kind", "threshold"), [("duplicate", 0.354), ("full_sib", 0.0884)])
def test_planted_relatives_are_all_found_and_nobody_else(kind, threshold, rate):
    for n_chromosomes in (10, 35):  # kinship of full sibs is 0.25 with sd 0.042 and 0.023
        planted, got, _ = planted_and_found(kind, rate, n_chromosomes, f"king={threshold}")
        assert got == planted


def test_full_sibs_are_found_at_the_first_degree_save_those_that_share_little():
    # 0.177 lies 3.2 sd below the mean in a genome of 35 Morgans
    planted, got, _ = planted_and_found("full_sib", 1.0, 35, "king=0.177")
    assert got <= planted
    assert len(got) / len(planted) >= 0.98


@pytest.mark.parametrize(("n_chromosomes", "recall"), [(35, 0.96), (20, 0.91), (10, 0.8)])
def test_half_sibs_are_found_at_the_second_degree_the_better_the_longer_the_genome(n_chromosomes, recall):
    # half sibs share 0.125 on average; over 800 of each the recall was 0.98, 0.94 and 0.86
    planted, got, found = planted_and_found("half_sib", 1.0, n_chromosomes)
    assert found.pairs.threshold == KINSHIP_LADDER[0]
    assert found.pairs.ladder == KINSHIP_LADDER[1:]
    assert got <= planted  # no false alarm
    assert recall <= len(got) / len(planted) <= 1.0


def test_unrelated_samples_make_no_pair():
    data, _ = simulate_families(0, unrelated=300, n_variants=5000, rng=np.random.default_rng(2))
    found = related(data)
    assert len(found.pairs) == 0
    assert found.facts["pairs_at_least"] == {"0.0884": 0, "0.177": 0, "0.354": 0}
    assert "44,850 pairs" in found.guarantee
    assert "5,000 markers" in found.guarantee


def test_inbred_and_presence_data_are_compared_by_ibs_with_the_reason():
    rng = np.random.default_rng(0)
    presence = rng.integers(0, 2, size=(30, 600)).astype(np.float32)
    presence[1] = presence[0]
    presence[1, :6] = 1 - presence[1, :6]  # 1 % of the markers differ
    for scale in (1.0, 2.0):
        found = related(genotypes(presence * scale))
        assert found.facts["estimator"] == "ibs"
        assert found.pairs.measure == "IBS"
        assert found.pairs.similarity.tolist() == pytest.approx([0.99])
        assert any("KING-robust is undefined" in note for note in found.notes)
        assert any("0 and 1 are taken" in note for note in found.notes) is (scale == 1.0)


def test_the_argument_states_estimator_and_threshold():
    data = genotypes(random_dosages(30, 800))
    assert related(data).pairs.ladder == KINSHIP_LADDER[1:]
    assert related(data, "king").pairs.ladder == KINSHIP_LADDER[1:]
    stated = related(data, "0.177").pairs
    assert (stated.threshold, stated.ladder, stated.measure) == (0.177, (), "kinship (KING-robust)")
    assert related(data, "ibs=0.6").pairs.measure == "IBS"
    grm = related(data, " grm = 0.01 ").pairs
    assert grm.measure.startswith("correlation")
    assert len(grm) > 0
    assert (grm.similarity >= 0.01).all()
    assert (grm.first < grm.second).all()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("kin=0.1", "did you mean 'king'"),
        ("king=2", "above 0 and at most 0.5, got '2'"),
        ("king=", "got 'none'"),
        ("king=abc", "got 'abc'"),
        ("grm", "must be above 0"),
        ("0.95", r"at most 0\.5, got '0\.95' \(the median sample is heterozygous"),
        ("ibs=0.2", "above 0.5 and at most 1"),
        ("king=nan", "got 'nan'"),
        ("0.1=king", "relatedness takes relatedness:king=0.0884"),
    ],
)
def test_malformed_arguments_are_refused(argument, message):
    with pytest.raises(SplitError, match=message):
        related(genotypes(random_dosages(20, 300)), argument)


def test_sequences_and_constant_genotypes_are_refused():
    ids = np.array(["a", "b"])
    inputs = Inputs(kind="sequence", values=encode_sequences(["ACGT", "ACGA"])[0])
    empty = pd.DataFrame(index=ids)
    data = Dataset(name="x", ids=ids, inputs=inputs, traits=empty, columns=empty)
    with pytest.raises(SplitError, match=r"needs genotypes.*use similarity"):
        related(data)
    with pytest.raises(SplitError, match="none of the 4 variants varies"):
        related(genotypes(np.ones((5, 4))))


def test_too_many_pairs_climb_the_ladder_or_are_refused(monkeypatch):
    values = np.repeat(random_dosages(4, 900, seed=8), 20, axis=0)  # four clones of 20: 760 pairs at 0.5
    rng = np.random.default_rng(0)
    noisy = rng.random(values.shape) < 0.15
    values[40:][noisy[40:]] = rng.binomial(2, 0.5, size=int(noisy[40:].sum()))
    monkeypatch.setattr(relatedness, "MOST_PAIRS", 500)
    found = related(genotypes(values))
    assert found.pairs.threshold > KINSHIP_LADDER[0]
    assert (found.pairs.similarity >= found.pairs.threshold).all()
    assert len(found.pairs) == found.facts["pairs_at_least"][f"{found.pairs.threshold:g}"] <= 500
    assert any("more than 500 pairs" in note for note in found.notes)
    with pytest.raises(SplitError, match=r"more than the 500 .* structure .* higher threshold.*regime"):
        related(genotypes(values), "king=0.05")
    with pytest.raises(TooManyPairsError, match="pairs after"):
        compare_genotypes(codes_of(values), "ibs", (0.5,), most=10)


def test_the_trait_has_no_say(monkeypatch):
    data, _ = simulate_families(10, unrelated=20, n_variants=600, rng=np.random.default_rng(1))
    other = Dataset(name="x", ids=data.ids, inputs=data.inputs, traits=data.traits * 0 + 7, columns=data.columns)
    a, b = related(data), related(other)
    np.testing.assert_array_equal(a.pairs.first, b.pairs.first)
    assert a.facts == b.facts


def test_families_come_from_the_first_column_that_names_them():
    values = random_dosages(5, 20)
    found = family(genotypes(values, FID=["a", "a", "0", "0", ""], family=["x", "y", "y", None, ""]))
    assert found.labels.tolist() == [0, 1, 1, 2, 3]
    assert found.facts == {"column": "family", "without_family": 2}
    assert "2 of 5 samples have no value in 'family'" in found.notes[0]
    plink = family(genotypes(values, FID=["a", "a", "0", "0", "b"]))
    assert plink.labels.tolist() == [0, 0, 2, 3, 1]
    assert family(genotypes(values, Pop_Family=[1, 1, 2, 2, 3])).labels.tolist() == [0, 0, 1, 1, 2]
    with pytest.raises(SplitError, match=r"needs a column called family, fid.*did you mean 'famly'"):
        family(genotypes(values, famly=list("aabbc")))
    with pytest.raises(SplitError, match="takes no argument"):
        family(genotypes(values, family=list("aabbc")), "x")


@pytest.mark.data
def test_mice(data_folder):
    data = read_dataset(data_folder / "bglr_mice" / "mice.bed")
    autosomes = np.flatnonzero(data.inputs.variants["chromosome"] != "X")
    exact = compare_genotypes(codes_of(data.inputs.values[:, autosomes]), "king", KINSHIP_LADDER)
    assert len(autosomes) == 10_074
    assert exact.highest == pytest.approx(0.4997, abs=5e-5)
    assert exact.counts[0.354] == 14
    labels = pd.factorize(data.columns["family"])[0]
    across = labels[exact.first] != labels[exact.second]
    n_across = (labels[:, None] != labels[None, :]).sum() / 2
    assert (across & (exact.similarity >= 0.177)).sum() / n_across == pytest.approx(0.0013, abs=5e-5)
    assert (across & (exact.similarity >= 0.354)).sum() == 0
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    for threshold, n_components, largest in ((0.177, 18, 1399), (0.0884, 1, 1814)):
        kept = exact.similarity >= threshold
        graph = coo_matrix((np.ones(kept.sum()), (exact.first[kept], exact.second[kept])), shape=(1814, 1814))
        n, component = connected_components(graph, directed=False)
        assert (n, np.bincount(component).max()) == (n_components, largest)
    found = related(data)  # one marker of 10,074 is rarer than 5 %
    assert found.facts["estimator"] == "king"
    assert found.facts["markers"]["not_autosomal"] == 272
    assert found.facts["pairs_at_least"]["0.354"] == 14
    assert abs(len(found.pairs) - exact.counts[0.0884]) <= 10


@pytest.mark.data
def test_wheat(data_folder):
    data = read_dataset(data_folder / "bglr_wheat" / "genotypes.csv.gz")
    exact = compare_genotypes((2 * data.inputs.values).astype(np.int8), "ibs", (0.8, 0.9, 0.95, 0.99))
    assert [exact.counts[rung] for rung in (0.9, 0.95, 0.99)] == [1762, 611, 47]
    assert exact.highest == pytest.approx(0.9977, abs=5e-5)
    found = related(data)  # 96 of 1,279 markers are rarer than 5 %, and alike in most lines
    assert found.facts["estimator"] == "ibs"
    assert found.facts["markers"]["homozygote_dosage"] == 1.0
    assert found.facts["markers"]["markers"] == 1183
    assert 500 <= len(found.pairs) <= 611


@pytest.mark.data
def test_maize(data_folder):
    data = read_dataset(data_folder / "maize_mdp" / "maize_mdp.vcf.gz")
    exact = compare_genotypes(codes_of(data.inputs.values), "ibs", (0.9, 0.95, 0.98))
    assert list(exact.counts.values()) == [79, 24, 5]
    assert exact.highest == pytest.approx(0.9971, abs=5e-5)
    found = related(data)
    assert found.facts["estimator"] == "ibs"
    assert found.facts["pairs_at_least"]["0.95"] == 21


@pytest.mark.data
def test_unrelated_toy_data_give_no_false_alarm(data_folder):
    found = related(read_dataset(data_folder / "fastlmm_toy" / "toydata.5chrom.bed"))
    assert len(found.pairs) == 0
    assert found.facts["highest"] == pytest.approx(0.033, abs=1e-3)
