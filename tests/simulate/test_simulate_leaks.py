import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import decode
from automl_pheno.errors import DataError, UnknownNameError
from automl_pheno.simulate import simulate_motifs
from automl_pheno.simulate.families import simulate_families
from automl_pheno.simulate.leaks import (
    GENOTYPE_LEAKS,
    SEQUENCE_LEAKS,
    plant_genotype_leaks,
    plant_sequence_leaks,
    simulate_unrelated,
)


def king(dosage):
    """KING-robust kinship (Manichaikul et al. 2010, equation 11), all pairs."""
    het = (dosage == 1).astype(float)
    opposite = (dosage == 0).astype(float) @ (dosage == 2).astype(float).T
    n = het.sum(axis=1)
    least = np.minimum(n[:, None], n[None, :])
    return (het @ het.T - 2 * (opposite + opposite.T)) / (2 * least) + 0.5 - (n[:, None] + n[None, :]) / (4 * least)


def rows_of(dataset, names):
    position = {name: row for row, name in enumerate(dataset.ids.tolist())}
    return np.array([position[str(name)] for name in names])


def planted(kind, rate=0.1, n=200, length=100):
    rng = np.random.default_rng(0)
    data = simulate_unrelated(n, length, rng)
    placed = data.columns.assign(start=np.arange(n) * 500, end=np.arange(n) * 500 + length)
    data = type(data)(name="x", ids=data.ids, inputs=data.inputs, traits=data.traits, columns=placed)
    grown, pairs = plant_sequence_leaks(data, kind, rate, rng)
    new, old = rows_of(grown, pairs[:, 0]), rows_of(grown, pairs[:, 1])
    texts = decode(grown.inputs.values)
    return grown, new, old, [texts[row] for row in new], [texts[row] for row in old]


def differing(a, b):
    return sum(x != y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("kind", SEQUENCE_LEAKS)
@pytest.mark.parametrize("rate", [0.005, 0.1, 1.0])
def test_as_many_leaks_as_asked_with_their_traits(kind, rate):
    grown, new, old, texts, sources = planted(kind, rate)
    assert len(grown) == 200 + round(200 * rate)
    assert len(set(old.tolist())) == len(old)
    assert (old < 200).all() and (new >= 200).all()  # noqa: PT018 # one fact
    np.testing.assert_array_equal(grown.y("trait")[new], grown.y("trait")[old])
    assert {len(text) for text in texts} == {len(text) for text in sources} == {100}


def test_each_kind_is_what_it_says():
    complement = str.maketrans("ACGT", "TGCA")
    *_, texts, sources = planted("exact")
    assert texts == sources
    *_, texts, sources = planted("reverse_complement")
    assert texts == [source.translate(complement)[::-1] for source in sources]
    for percent in (1, 2, 5, 10, 20):
        *_, texts, sources = planted(f"mutated_{percent}")
        assert {differing(a, b) for a, b in zip(texts, sources, strict=True)} == {percent}
    *_, texts, sources = planted("reverse_mutated_5")
    assert {differing(a, b.translate(complement)[::-1]) for a, b in zip(texts, sources, strict=True)} == {5}
    *_, texts, sources = planted("shifted")
    assert all(a[:80] == b[20:] for a, b in zip(texts, sources, strict=True))
    *_, texts, sources = planted("half")
    assert all(a[:50] == b[50:] for a, b in zip(texts, sources, strict=True))


def test_an_overlap_moves_the_interval_with_the_sequence():
    grown, new, old, texts, sources = planted("overlap")
    assert all(a[:50] == b[50:] for a, b in zip(texts, sources, strict=True))
    for name in ("start", "end"):
        assert (grown.columns[name].to_numpy()[new] - grown.columns[name].to_numpy()[old] == 50).all()


def test_leaks_that_cannot_be_planted_are_refused():
    rng = np.random.default_rng(0)
    data = simulate_motifs(n=30)[0]
    with pytest.raises(DataError, match="needs columns start and end"):
        plant_sequence_leaks(data, "overlap", 0.1, rng)
    with pytest.raises(UnknownNameError, match="did you mean 'mutated_1'"):
        plant_sequence_leaks(data, "mutatd_1", 0.1, rng)
    with pytest.raises(DataError, match="genotypes cannot be planted"):
        plant_genotype_leaks(data, "full_sib", 0.1, rng)
    for rate in (0.0, 1.5):
        with pytest.raises(DataError, match="rate"):
            plant_sequence_leaks(data, "exact", rate, rng)


def test_families_have_the_kinship_of_their_pedigree():
    rng = np.random.default_rng(1)
    dataset, truth = simulate_families(
        25, full_sibs=3, half_sibs=2, duplicates=1, unrelated=40, n_variants=6000, rng=rng
    )
    assert len(dataset) == 25 * 6 + 40
    kinship = king(dataset.inputs.values)
    first, second = rows_of(dataset, truth["first"]), rows_of(dataset, truth["second"])
    seen = pd.Series(kinship[first, second]).groupby(truth["relation"]).mean()
    assert seen["duplicate"] == 0.5
    assert seen["full_sib"] == pytest.approx(0.25, abs=0.02)
    assert seen["half_sib"] == pytest.approx(0.125, abs=0.02)
    # 3 + 2 children: 3 full-sib pairs, 7 half-sib pairs; the sixth is a copy of one of the five
    assert (truth["relation"] == "duplicate").sum() == 25
    related = np.eye(len(dataset), dtype=bool)
    related[first, second] = related[second, first] = True
    assert kinship[~related].max() < 0.0442
    families = dataset.columns["family"].to_numpy()
    assert (families[first] == families[second]).all()
    assert (families == "").sum() == 40


def test_blocks_make_linkage():
    rng = np.random.default_rng(2)
    dataset, _ = simulate_families(0, unrelated=300, n_variants=400, n_chromosomes=2, block=20, rng=rng)
    r = np.corrcoef(dataset.inputs.values.T + rng.normal(0, 1e-6, (400, 300)))
    within = np.abs(r[np.arange(0, 400, 20), np.arange(1, 400, 20)]).mean()
    between = np.abs(r[np.arange(0, 380, 20), np.arange(20, 400, 20)]).mean()
    assert within > 3 * between


@pytest.mark.parametrize(("kind", "kinship"), [("duplicate", 0.5), ("full_sib", 0.25), ("half_sib", 0.125)])
def test_planted_relatives_have_their_kinship(kind, kinship):
    rng = np.random.default_rng(3)
    base, _ = simulate_families(0, unrelated=200, n_variants=5000, rng=rng)
    base.inputs.values[:, 7] = np.nan
    grown, pairs = plant_genotype_leaks(base, kind, 0.25, rng)
    assert np.isnan(grown.inputs.values[:, 7]).all()
    values = np.delete(grown.inputs.values, 7, axis=1)
    assert set(np.unique(values)) <= {0.0, 1.0, 2.0}
    found = king(values)[rows_of(grown, pairs[:, 0]), rows_of(grown, pairs[:, 1])]
    assert found.mean() == pytest.approx(kinship, abs=0.015)
    assert set(GENOTYPE_LEAKS) == {"duplicate", "full_sib", "half_sib"}
