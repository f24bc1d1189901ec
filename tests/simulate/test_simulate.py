"""Simulations keep to their recipe, and their truth makes their trait."""

import json

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.read import read_dataset
from automl_pheno.errors import DataError
from automl_pheno.simulate import SIMULATORS, Truth, genotypes, motifs, mutants, write_simulation

SMALL = {
    "mutants": {"n": 600, "length": 120},
    "motifs": {"n": 400, "length": 80},
    "genotypes": {"n": 300, "n_variants": 200},
}
every_simulator = pytest.mark.parametrize("kind", tuple(SIMULATORS))


@every_simulator
def test_same_seed_same_data_other_seed_other_data(kind):
    first, again, other = (SIMULATORS[kind](seed=seed, **SMALL[kind])[0] for seed in (1, 1, 2))
    assert first.sha256() == again.sha256() != other.sha256()


@every_simulator
def test_ceiling_is_the_score_of_the_noise_free_value(kind):
    dataset, truth = SIMULATORS[kind](seed=1, **SMALL[kind])
    y = dataset.y("trait")
    expected = 1 - ((y - truth.genetic) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert truth.ceiling_r2 == pytest.approx(expected)
    assert truth.kind == kind
    assert truth.seed == 1


@every_simulator
def test_truth_is_saved_whole(kind, tmp_path):
    _, truth = SIMULATORS[kind](seed=1, **SMALL[kind])
    truth.save(tmp_path)
    loaded = Truth.load(tmp_path)
    assert loaded.to_json() == truth.to_json()
    assert json.loads(json.dumps(truth.to_json())) == json.loads((tmp_path / "truth.json").read_text())
    assert (loaded.causal, loaded.terms, loaded.motifs) == (truth.causal, truth.terms, truth.motifs)
    np.testing.assert_array_equal(loaded.genetic, truth.genetic)
    if truth.planted is None:
        assert loaded.planted is None
    else:
        np.testing.assert_array_equal(loaded.planted, truth.planted)


@every_simulator
def test_readers_read_what_was_written(kind, tmp_path):
    settings = SMALL[kind] | ({"missing": 0.05} if kind == "genotypes" else {})
    dataset, truth = SIMULATORS[kind](seed=1, **settings)
    files = write_simulation(dataset, truth, tmp_path / "new" / "folder")
    table = {"trait_table": files[1]} if dataset.kind == "genotype" else {}
    read = read_dataset(files[0], **table)
    assert read.kind == dataset.kind
    np.testing.assert_array_equal(read.ids, dataset.ids)
    np.testing.assert_array_equal(read.inputs.values, dataset.inputs.values)
    np.testing.assert_allclose(read.y("trait"), dataset.y("trait"), rtol=1e-12)
    for column in dataset.columns.select_dtypes(exclude="number"):
        assert read.columns[column].astype(str).tolist() == dataset.columns[column].tolist()


def test_truth_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no readable truth\.json"):
        Truth.load(tmp_path)
    np.savez(tmp_path / "truth.npz", genetic=np.zeros(1))
    (tmp_path / "truth.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="format must be 1"):
        Truth.load(tmp_path)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("mutants", {"n": 1}),
        ("mutants", {"length": 12}),
        ("motifs", {"length": 20}),
        ("motifs", {"ceiling_r": 0.0}),
        ("motifs", {"conservation": 1.5}),
        ("genotypes", {"heritability": 0.0}),
        ("genotypes", {"heritability": float("nan")}),
        ("genotypes", {"dominance": 0.7, "epistasis": 0.7}),
        ("genotypes", {"n_variants": 10, "n_causal": 50}),
    ],
)
def test_impossible_settings_are_refused(kind, settings):
    with pytest.raises(DataError, match="must be"):
        SIMULATORS[kind](**settings)


def test_mutants_keep_to_the_recipe():
    dataset, truth = SIMULATORS["mutants"](seed=0)
    codes = dataset.inputs.values
    assert codes.shape == (9000, 200)
    assert set(np.unique(codes)) == {1, 2, 4, 8}
    reference = np.array([np.bincount(column).argmax() for column in codes.T])
    differs = codes != reference
    mutations = differs.sum(axis=1)
    np.testing.assert_array_equal(mutations, dataset.columns["mutations"])
    assert mutations.min() == 0
    assert mutations.max() == 20
    assert 9.7 < mutations.mean() < 10.3
    positions = [item.position for item in truth.causal]
    assert 10 <= len(positions) <= 24
    assert differs[:, positions].sum() / differs.sum() == pytest.approx(0.45, abs=0.01)
    effects = np.array([item.effects for item in truth.causal])
    assert effects.shape == (len(positions), 4)
    assert np.abs(effects).max() <= 4
    assert [(term.kind, len(term.members)) for term in truth.terms] == [
        ("product", 2), ("product", 2), ("ratio", 2), ("product", 3),
    ]  # fmt: skip
    assert all(abs(term.coefficient) <= 1.5 for term in truth.terms)
    assert {member for term in truth.terms for member in term.members} <= set(positions)
    noise = dataset.y("trait") - truth.genetic
    assert np.abs(noise).max() <= 2
    assert noise.var() == pytest.approx(4 / 3, rel=0.05)
    assert 0.95 < truth.ceiling_r2 < 1


def test_mutants_genetic_value_by_hand():
    _, truth = SIMULATORS["mutants"](seed=3, n=2)
    codes = np.full((1, 200), 4, dtype=np.uint8)
    effect = {item.position: item.effects[2] for item in truth.causal}
    (a, b), (c, d), (e, f), (g, h, i) = (term.members for term in truth.terms)
    k = [term.coefficient for term in truth.terms]
    below = np.copysign(max(abs(effect[f]), 0.5), effect[f])
    expected = sum(effect.values()) + k[0] * effect[a] * effect[b] + k[1] * effect[c] * effect[d]
    expected += k[2] * effect[e] / below + k[3] * effect[g] * effect[h] * effect[i]
    assert mutants.genetic_value(codes, truth.causal, truth.terms)[0] == pytest.approx(expected)
    codes[0, a] = 15
    with pytest.raises(DataError, match="ambiguous"):
        mutants.genetic_value(codes, truth.causal, truth.terms)


def test_mutants_ceiling_over_seeds():
    ceilings = [SIMULATORS["mutants"](seed=seed, n=2000)[1].ceiling_r2 for seed in range(12)]
    assert np.median(ceilings) == pytest.approx(0.986, abs=0.008)


def test_motifs_lie_where_the_truth_says():
    dataset, truth = SIMULATORS["motifs"](seed=4, n=1500, length=90)
    bits = {"A": 1, "C": 2, "G": 4, "T": 8}
    opposite = {1: 8, 2: 4, 4: 2, 8: 1}
    for number, motif in enumerate(truth.motifs):
        start, strand = truth.planted[:, number].T
        assert (start[strand == 0] == -1).all()
        assert 0.45 < (strand != 0).mean() < 0.55
        for row in np.flatnonzero(strand)[:100]:
            site = dataset.inputs.values[row, start[row] : start[row] + len(motif.consensus)]
            if strand[row] < 0:
                site = np.array([opposite[base] for base in site[::-1]])
            for base, letter in zip(site, motif.consensus, strict=True):
                assert letter == "N" or base == bits[letter]
    occupied = np.sort(np.where(truth.planted[..., 1] != 0, truth.planted[..., 0], 10_000 * np.arange(1, 4)), axis=1)
    assert (np.diff(occupied, axis=1) >= len(truth.motifs[0].consensus)).all()


def test_motifs_trait_by_hand():
    _, truth = SIMULATORS["motifs"](seed=4, n=50)
    width = len(truth.motifs[0].consensus)
    near, far = 10 + width + motifs.REACH, 10 + width + motifs.REACH + 1
    planted = np.array(
        [
            [[-1, 0], [-1, 0], [-1, 0]],
            [[10, 1], [-1, 0], [-1, 0]],
            [[10, -1], [30, -1], [-1, 0]],
            [[10, 1], [-1, 0], [near, 1]],
            [[10, 1], [-1, 0], [far, 1]],
            [[10, 1], [-1, 0], [near, -1]],
        ]
    )
    expected = [0, 1.0, 0.3 - 0.8, 1.0 + 0.3 + 1.2, 1.0 + 0.3, 1.0]
    np.testing.assert_allclose(motifs.genetic_value(planted, truth.motifs, truth.terms), expected)


def test_motifs_noise_is_as_asked():
    _, truth = SIMULATORS["motifs"](seed=0, ceiling_r=0.8, n=4000)
    assert truth.ceiling_r == pytest.approx(0.8, abs=0.02)
    _, truth = SIMULATORS["motifs"](seed=0)
    assert truth.ceiling_r == pytest.approx(0.95, abs=0.01)


def test_genotypes_truth_makes_the_trait_with_the_stated_heritability():
    dataset, truth = SIMULATORS["genotypes"](seed=2, n=2000, n_variants=300, heritability=0.4)
    value = genotypes.genetic_value(dataset.inputs.values, truth.causal, truth.terms)
    np.testing.assert_allclose(truth.genetic - truth.genetic.mean(), value - value.mean(), atol=1e-9)
    noise = dataset.y("trait") - truth.genetic
    assert truth.genetic.var() / (truth.genetic.var() + noise.var()) == pytest.approx(0.4)
    additive = genotypes.genetic_value(dataset.inputs.values, truth.causal, ())
    assert 0.7 < additive.var() < 0.9
    names = dataset.inputs.variants["id"]
    assert all(names[item.position] == item.name for item in truth.causal)


def test_genotypes_have_ld_families_and_populations():
    dataset, _ = SIMULATORS["genotypes"](seed=2, n=600, n_variants=400, block=20)
    dosage = dataset.inputs.values
    assert set(np.unique(dosage)) == {0.0, 1.0, 2.0}
    varies = dosage.std(axis=0) > 0
    chromosome = dataset.inputs.variants["chromosome"].to_numpy()
    columns = np.flatnonzero(varies)
    r2 = np.corrcoef(dosage[:, columns], rowvar=False) ** 2
    block = columns // 20
    within = r2[(block[:, None] == block[None, :]) & ~np.eye(len(columns), dtype=bool)].mean()
    apart = r2[chromosome[columns][:, None] != chromosome[columns][None, :]].mean()
    assert within > 3 * apart
    standard = (dosage[:, columns] - dosage[:, columns].mean(axis=0)) / dosage[:, columns].std(axis=0)
    kinship = standard @ standard.T / len(columns)
    family, population = dataset.columns["family"].to_numpy(), dataset.columns["population"].to_numpy()
    pair = ~np.eye(len(dosage), dtype=bool)
    same_family = kinship[(family[:, None] == family) & pair].mean()
    same_population = kinship[(population[:, None] == population) & (family[:, None] != family)].mean()
    others = kinship[population[:, None] != population].mean()
    assert same_family > same_population + 0.2 > others + 0.2
    assert pd.Series(family).map(pd.Series(population, index=family).groupby(level=0).nunique()).max() == 1


def test_missing_calls_are_as_many_as_asked():
    dataset, _ = SIMULATORS["genotypes"](seed=2, n=300, n_variants=300, missing=0.1)
    assert np.isnan(dataset.inputs.values).mean() == pytest.approx(0.1, abs=0.01)


def test_planted_positions_are_those_whose_base_matters() -> None:
    dataset, truth = SIMULATORS["motifs"](n=300, seed=4)
    mask = truth.planted_positions(dataset.inputs.width)
    codes = dataset.inputs.values
    for row in range(300):
        expected = np.zeros(dataset.inputs.width, dtype=bool)
        for number, motif in enumerate(truth.motifs):
            start, strand = truth.planted[row, number]
            if strand == 0 or (strand < 0 and motif.reverse_factor == 0):
                continue
            consensus = (
                motif.consensus if strand > 0 else motif.consensus[::-1].translate(str.maketrans("ACGT", "TGCA"))
            )
            for offset, base in enumerate(consensus):
                if base != "N":
                    expected[start + offset] = True
                    assert codes[row, start + offset] == {"A": 1, "C": 2, "G": 4, "T": 8}[base]
        np.testing.assert_array_equal(mask[row], expected)
