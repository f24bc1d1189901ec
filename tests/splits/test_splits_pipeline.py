"""The whole way from data to a proven split: what is decided for the user, purged, stopped."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Dataset, Inputs, drop_missing, read_dataset
from automl_pheno.errors import SplitError
from automl_pheno.simulate import SIMULATORS
from automl_pheno.simulate.families import simulate_families
from automl_pheno.simulate.leaks import plant_genotype_leaks, plant_sequence_leaks, simulate_unrelated
from automl_pheno.splits import SplitConfig, make_split

GUARANTEED = ("exact", "reverse_complement", "mutated_1", "mutated_5", "reverse_mutated_5")


def crossing(made, pairs):
    """Return how many pairs of ids lie on two sides that meet: one is evaluated, the other trained on."""
    row = {name: number for number, name in enumerate(made.split.ids.tolist())}
    a, b = (np.array([row[name] for name in column]) for column in pairs.T)
    bad = 0
    for fold in made.split.folds():
        bad += int((np.isin(a, fold.train) & np.isin(b, fold.validation)).sum())
        bad += int((np.isin(b, fold.train) & np.isin(a, fold.validation)).sum())
    sets = made.split.set
    return bad + int(((sets[a] == "test") & np.isin(sets[b], ["train", "validation"])).sum()) + int(
        ((sets[b] == "test") & np.isin(sets[a], ["train", "validation"])).sum()
    )  # fmt: skip


@pytest.mark.parametrize("rate", [0.02, 0.3])
@pytest.mark.parametrize("kind", GUARANTEED)
@pytest.mark.parametrize("method", ["holdout", "kfold"])
def test_planted_near_copies_never_cross(kind, rate, method):
    rng = np.random.default_rng(3)
    data, pairs = plant_sequence_leaks(simulate_unrelated(300, 120, rng), kind, rate, rng)
    made = make_split(data, "trait", SplitConfig(method=method))
    assert made.leaks == ()
    assert crossing(made, pairs) == 0
    assert made.card["statement"].startswith("leakage-free at identity >= 0.8")


@pytest.mark.parametrize("rate", [0.02, 0.3])
@pytest.mark.parametrize("kind", ["duplicate", "full_sib"])
def test_planted_relatives_never_cross(kind, rate):
    rng = np.random.default_rng(4)
    unrelated, _ = simulate_families(0, unrelated=200, n_variants=4000, n_chromosomes=20, rng=rng)
    data, pairs = plant_genotype_leaks(unrelated, kind, rate, rng)
    made = make_split(data, "trait", SplitConfig())
    assert made.leaks == ()
    assert crossing(made, pairs) == 0


def test_a_random_split_of_near_copies_has_leaks_and_says_so():
    rng = np.random.default_rng(5)
    data, _ = plant_sequence_leaks(simulate_unrelated(300, 120, rng), "mutated_5", 0.3, rng)
    made = make_split(data, "trait", SplitConfig(groups=("random",)))
    assert any("identity >= 0.8" in leak for leak in made.leaks)
    assert made.card["statement"].startswith("not leakage-free")


def test_published_folds_are_audited_though_nothing_was_asked():
    rng = np.random.default_rng(6)
    data, _ = plant_sequence_leaks(simulate_unrelated(200, 100, rng), "mutated_5", 0.5, rng)
    folds = pd.DataFrame({"cv": rng.integers(0, 4, len(data))}, index=data.ids)
    made = make_split(replace(data, columns=folds), "trait", SplitConfig(fold_column="cv"))
    assert made.leaks


def test_published_folds_that_part_near_copies_can_be_purged():
    rng = np.random.default_rng(6)
    data, pairs = plant_sequence_leaks(simulate_unrelated(200, 100, rng), "mutated_5", 0.1, rng)
    folds = pd.DataFrame({"cv": rng.integers(0, 4, len(data))}, index=data.ids)
    config = SplitConfig(fold_column="cv", groups=("similarity",))
    made = make_split(replace(data, columns=folds), "trait", config)
    assert made.leaks == ()
    assert crossing(made, pairs) == 0
    assert made.split.purged_from is not None
    assert (made.split.fold == folds["cv"]).all()


@pytest.mark.parametrize("kind", ["unseen", "mutations", "position"])
def test_a_library_of_mutants_is_split_by_what_it_extrapolates_to(kind):
    data, _ = SIMULATORS["mutants"](seed=2)
    trait = str(data.traits.columns[0])
    try:
        made = make_split(data, trait, SplitConfig(extrapolation=kind))
    except SplitError as error:
        assert kind in str(error) or "extrapolation" in str(error)  # noqa: PT017 - a library may not allow all three
        return
    assert made.leaks == ()
    assert made.card["extrapolation"]
    assert not made.card["statement"].startswith("leakage-free")


def test_a_random_split_of_mutants_of_one_sequence_is_a_leak():
    data, _ = SIMULATORS["mutants"](seed=2, n=400)
    trait = str(data.traits.columns[0])
    made = make_split(data, trait, SplitConfig(groups=("random",)))
    assert any("mutants of one sequence" in leak for leak in made.leaks)
    assert made.card["statement"].startswith("not leakage-free")
    told = make_split(data, trait, SplitConfig(extrapolation="none"))
    assert told.leaks == ()
    assert "not leakage-free" in told.card["statement"] or "leakage-free at" not in told.card["statement"]


def test_an_extrapolation_of_independent_sequences_is_refused():
    data = simulate_unrelated(100, 60, np.random.default_rng(1))
    with pytest.raises(SplitError, match="libraries of mutants of one sequence"):
        make_split(data, "trait", SplitConfig(extrapolation="unseen"))


def test_everybody_a_cousin_is_cut_and_purged():
    rng = np.random.default_rng(7)
    data, kinship = simulate_families(3, full_sibs=20, half_sibs=60, n_variants=3000, n_chromosomes=20, rng=rng)
    made = make_split(data, "trait", SplitConfig(groups=("relatedness:king=0.177",), most_purged=0.5))
    assert made.leaks == ()
    sibs = kinship.loc[kinship["relation"] == "full_sib", ["first", "second"]].to_numpy(dtype=str)
    measured = sibs[:50]
    assert crossing(made, measured) <= 1  # a full sib may share less than 0.177 by chance


def test_a_stated_threshold_that_would_purge_too_much_is_refused():
    rng = np.random.default_rng(8)
    data, _ = simulate_families(1, full_sibs=100, half_sibs=0, n_variants=2000, n_chromosomes=20, rng=rng)
    with pytest.raises(SplitError, match=r"would purge \d+% of the training samples \(most_purged: 20%\)"):
        make_split(data, "trait", SplitConfig(groups=("relatedness:king=0.0884",)))


def test_regimes_balance_or_hold_out_populations():
    rng = np.random.default_rng(9)
    populations = np.repeat([0, 1, 2], 80)
    frequency = np.clip(rng.uniform(0.2, 0.8, 3000) + rng.normal(0, 0.2, (3, 3000)), 0.05, 0.95)
    values = rng.binomial(2, frequency[populations]).astype(np.float32)
    ids = np.array([f"s{i}" for i in range(240)])
    data = Dataset(
        name="x",
        ids=ids,
        inputs=Inputs(kind="genotype", values=values, variants=None),
        traits=pd.DataFrame({"trait": rng.normal(size=240) + populations}, index=ids),
        columns=pd.DataFrame(index=ids),
    )
    within = make_split(data, "trait", SplitConfig(regime="unrelated", populations=3)).split
    across = make_split(data, "trait", SplitConfig(regime="cross-population", populations=3)).split
    assert len(set(populations[within.test])) == 3
    assert len(set(populations[across.test])) == 1
    assert not set(populations[across.test]) & set(populations[across.development])


@pytest.mark.slow
@pytest.mark.data
def test_promoters_are_proven_free_of_similar_pairs(data_folder):
    data = drop_missing(read_dataset(data_folder / "jores_promoters" / "promoters.csv.gz"), "proto_enrichment")
    made = make_split(data.take(np.arange(2000)), "proto_enrichment", SplitConfig(audit_seconds=2.0))
    assert made.leaks == ()
    assert made.card["audit"]["certificate"]["leaking"] == 0


@pytest.mark.slow
@pytest.mark.data
def test_what_the_audit_has_purged_stands_on_the_card(data_folder):
    data = drop_missing(read_dataset(data_folder / "jores_promoters" / "promoters.csv.gz"), "leaf_enrichment")
    made = make_split(data, "leaf_enrichment", SplitConfig(audit_seconds=1.0))
    told = [note for note in made.card["notes"] if note.startswith("the audit found ")]
    assert bool(told) == bool(made.card["purged"]["after_audit"])


@pytest.mark.data
def test_unrelated_people_raise_no_alarm(data_folder):
    data = read_dataset(data_folder / "fastlmm_toy" / "toydata.5chrom.bed")
    trait = pd.DataFrame({"t": np.arange(len(data), dtype=float)}, index=data.ids)
    made = make_split(replace(data, traits=trait), "t", SplitConfig())
    assert made.leaks == ()
    assert made.card["groupings"]["relatedness"] == len(data)
    assert (made.split.set != "purged").all()
