"""Leak detectors find planted leaks and nothing else; a comparison tells what a random split promises too much."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Dataset, Inputs, encode_sequences
from automl_pheno.errors import PredictorError
from automl_pheno.evaluation import (
    DETECTORS,
    compare_splits,
    detectors_for,
    development_of,
    explain_comparison,
    random_like,
)
from automl_pheno.predictors import PREDICTORS
from automl_pheno.splits import Split, assign

RNG = np.random.default_rng


def dataset_of(inputs: Inputs, y: np.ndarray) -> Dataset:
    ids = np.array([f"s{i}" for i in range(len(inputs))])
    index = pd.Index(ids)
    traits = pd.DataFrame({"y": y}, index=index)
    return Dataset(name="toy", ids=ids, inputs=inputs, traits=traits, columns=pd.DataFrame(index=index))


def families(n_families: int = 40, size: int = 6) -> tuple[Dataset, np.ndarray]:
    """Return families of near copies whose trait is that of the family: a leak under a random split only."""
    rng = RNG(0)
    family = np.repeat(np.arange(n_families), size)
    founders = rng.integers(0, 3, (n_families, 200))
    values = founders[family].astype(np.float32)
    changed = rng.random(values.shape) < 0.03
    values[changed] = rng.integers(0, 3, int(changed.sum()))
    y = rng.normal(size=n_families)[family] + 0.3 * rng.normal(size=len(family))
    return dataset_of(Inputs(kind="genotype", values=values), y), family


def sequences(n: int = 300) -> Dataset:
    """Return pairs of a sequence and its mutated reverse complement, with one trait a pair."""
    rng = RNG(1)
    texts = []
    for _ in range(n // 2):
        text = "".join(rng.choice(list("ACGT"), 100))
        other = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
        place = int(rng.integers(100))
        texts += [text, other[:place] + rng.choice(list("ACGT")) + other[place + 1 :]]
    codes, _ = encode_sequences(texts)
    return dataset_of(Inputs(kind="sequence", values=codes), np.repeat(rng.normal(size=n // 2), 2))


def folds(dataset: Dataset, groups: np.ndarray, k: int = 5, **extra: object) -> Split:
    fold = assign(groups, dataset.y("y"), np.full(k, 1 / k), RNG(0))
    return Split(ids=dataset.ids, group=groups, set=np.full(len(dataset), "train"), fold=fold, **extra)  # type: ignore[arg-type]


def score_of(name: str, dataset: Dataset, split: Split, groups: np.ndarray) -> float:
    y = dataset.y("y")
    out = np.zeros(len(y))
    for fold in split.folds():
        out[fold.validation] = DETECTORS[name].detect(dataset, y, fold.train, fold.validation, groups, RNG(0))
    return float(np.corrcoef(out, y)[0, 1]) if out.std() > 0 else 0.0


@pytest.mark.parametrize("name", ["nearest_neighbour", "group_mean"])
def test_family_leaks_are_found_at_random_and_gone_by_family(name: str) -> None:
    dataset, family = families()
    assert score_of(name, dataset, folds(dataset, np.arange(len(dataset))), family) > 0.8
    assert abs(score_of(name, dataset, folds(dataset, family), family)) < 0.35


def test_the_nearest_sequence_is_found_on_the_other_strand() -> None:
    dataset = sequences()
    pairs = np.repeat(np.arange(len(dataset) // 2), 2)
    # first of each pair in training, second held out, and the other way round
    apart = Split(ids=dataset.ids, group=pairs, set=np.full(len(dataset), "train"), fold=np.arange(len(dataset)) % 2)
    assert score_of("nearest_neighbour", dataset, apart, pairs) > 0.99
    together = Split(ids=dataset.ids, group=pairs, set=np.full(len(dataset), "train"), fold=pairs % 2)
    assert abs(score_of("nearest_neighbour", dataset, together, pairs)) < 0.25


def test_composition_and_populations_and_missing_calls_are_found() -> None:
    rng = RNG(2)
    content = rng.uniform(0.2, 0.8, 300)
    texts = ["".join(np.where(rng.random(80) < p, "G", "A")) for p in content]
    codes, _ = encode_sequences(texts)
    dataset = dataset_of(Inputs(kind="sequence", values=codes), content + 0.05 * rng.normal(size=300))
    split = folds(dataset, np.arange(300))
    assert score_of("gc_length", dataset, split, np.arange(300)) > 0.8
    assert score_of("principal_components", dataset, split, np.arange(300)) > 0.8

    population = rng.integers(0, 3, 300)
    frequency = rng.uniform(0.1, 0.9, (3, 150))
    values = rng.binomial(2, frequency[population]).astype(np.float32)
    values[rng.random(values.shape) < np.linspace(0, 0.4, 3)[population][:, None]] = np.nan
    trait = np.array([0.0, 1.0, 3.0])[population] + 0.3 * rng.normal(size=300)
    dataset = dataset_of(Inputs(kind="genotype", values=values), trait)
    for name in ("principal_components", "missingness"):
        assert score_of(name, dataset, folds(dataset, np.arange(300)), np.arange(300)) > 0.8


@pytest.mark.parametrize("kind", ["sequence", "genotype"])
def test_no_detector_finds_anything_in_noise(kind: str) -> None:
    rng = RNG(3)
    if kind == "sequence":
        inputs = Inputs(kind="sequence", values=(1 << rng.integers(0, 4, (400, 60))).astype(np.uint8))
    else:
        values = rng.integers(0, 3, (400, 100)).astype(np.float32)
        values[rng.random(values.shape) < 0.05] = np.nan
        inputs = Inputs(kind="genotype", values=values)
    dataset = dataset_of(inputs, rng.normal(size=400))
    split = folds(dataset, np.arange(400))
    assert len(detectors_for(inputs)) == 4
    for name in detectors_for(inputs):
        assert abs(score_of(name, dataset, split, np.arange(400))) < 0.2, name


@pytest.mark.parametrize("name", list(DETECTORS))
def test_a_detector_learns_from_training_rows_alone(name: str) -> None:
    kind = DETECTORS[name].kinds[0]
    rng = RNG(4)
    values = (1 << rng.integers(0, 4, (60, 50))) if kind == "sequence" else rng.integers(0, 3, (60, 50))
    values = values.astype(np.uint8 if kind == "sequence" else np.float32)
    if kind == "genotype":
        values[rng.random(values.shape) < 0.1] = np.nan
    changed = values.copy()
    changed[50:] = values[0]
    train, held, groups = np.arange(40), np.arange(40, 50), np.arange(60) % 7
    y = rng.normal(size=60)
    other = np.where(np.arange(60) < 40, y, 99.0)
    a, b = (
        DETECTORS[name].detect(dataset_of(Inputs(kind=kind, values=v), t), t, train, held, groups, RNG(0))
        for v, t in ((values, y), (changed, other))
    )
    np.testing.assert_array_equal(a, b)
    assert np.isfinite(a).all()


def test_missingness_does_not_apply_where_nothing_is_missing() -> None:
    dataset, _ = families(5)
    assert "missingness" not in detectors_for(dataset.inputs)
    assert "gc_length" not in detectors_for(dataset.inputs)


# --- the random split to compare with


def test_the_random_split_has_the_same_sizes_and_trains_on_as_many() -> None:
    dataset, family = families()
    y = dataset.y("y")
    split = folds(dataset, family)
    apart = np.zeros((len(dataset), 5), dtype=bool)
    apart[(family % 9 == 0) & (split.fold != 2), 2] = True
    split = folds(dataset, family, purged_from=apart)
    random = random_like(dataset, y, split, 0)
    for one, other in zip(split.folds(), random.folds(), strict=True):
        assert len(one.validation) == len(other.validation)
        assert len(one.train) == len(other.train)
    assert len(next(iter(split.folds())).train) > len(list(split.folds())[2].train)
    crossing = [len(set(random.fold[family == name])) for name in range(40)]
    assert min(crossing) >= 2


def test_the_test_set_stays_sealed_and_duplicates_together() -> None:
    dataset, family = families()
    sets = np.where(family < 6, "test", np.where(family < 12, "validation", np.where(family == 39, "purged", "train")))
    split = Split(ids=dataset.ids, group=family, set=sets, fold=np.full(len(dataset), -1))
    values = dataset.inputs.values.copy()
    values[100] = values[101] = values[102]
    copies = dataset_of(Inputs(kind="genotype", values=values), dataset.y("y"))
    developed, this = development_of(copies, split)
    assert set(this.set) == {"train", "validation"}
    assert not np.isin(copies.ids[(sets == "test") | (sets == "purged")], developed.ids).any()
    random = random_like(developed, developed.y("y"), this, 3)
    assert (random.set == "validation").sum() == (this.set == "validation").sum()
    rows = [int(np.flatnonzero(developed.ids == f"s{i}")[0]) for i in (100, 101, 102)]
    assert len({random.group[row] for row in rows}) == 1


# --- the comparison


class Failing:
    """A predictor that cannot be fitted."""

    kind = "failing"

    def fit(self, train: object, validation: object = None, **_: object) -> None:
        msg = "too few samples"
        raise PredictorError(msg)


@pytest.mark.parametrize("metric", ["pearson_r", "rmse"])
def test_inflation_is_positive_where_families_leak(metric: str) -> None:
    dataset, family = families()
    this = folds(dataset, family)
    splits = {"random": random_like(dataset, dataset.y("y"), this, 0), "this_split": this}
    makers = {"mean": PREDICTORS["mean"], "gblup": PREDICTORS["gblup"], "failing": Failing}
    table = compare_splits(dataset, "y", splits, makers, metric=metric, seed=0)  # type: ignore[arg-type]
    rows = table.set_index("name")
    assert rows.loc["gblup", "inflation"] > 0.3
    sign = 1 if metric == "pearson_r" else -1
    assert rows.loc["gblup", "inflation"] == pytest.approx(
        sign * (rows.loc["gblup", "random"] - rows.loc["gblup", "this_split"])
    )
    assert table["name"].tolist()[-3:] == ["nearest_neighbour", "group_mean", "principal_components"]
    assert rows.loc["nearest_neighbour", "inflation"] > 0.3
    assert np.isnan(rows.loc["failing", "random"])
    assert "too few samples" in rows.loc["failing", "note"]
    said = " ".join(explain_comparison(table))
    assert "A random split flatters: " in said
    if metric == "pearson_r":
        assert "group_mean alone scores" in said


def test_splits_that_are_alike_agree_within_noise() -> None:
    rng = RNG(5)
    dataset = dataset_of(Inputs(kind="genotype", values=rng.integers(0, 3, (200, 50)).astype(np.float32)),
                         rng.normal(size=200))  # fmt: skip
    this = folds(dataset, np.arange(200))
    splits = {"random": random_like(dataset, dataset.y("y"), this, 0), "this_split": this}
    table = compare_splits(dataset, "y", splits, {"gblup": PREDICTORS["gblup"]}, metric="pearson_r", seed=0)
    assert "agree within noise" in explain_comparison(table)[0]
    again = compare_splits(dataset, "y", splits, {"gblup": PREDICTORS["gblup"]}, metric="pearson_r", seed=0)
    pd.testing.assert_frame_equal(table, again)


def test_folds_of_two_samples_are_compared_by_one_score_over_all() -> None:
    data, family = families(20, 2)
    split = folds(data, family, 20)
    table = compare_splits(
        data, "y", {"random": random_like(data, data.y("y"), split, 0), "this_split": split},
        {"gblup": PREDICTORS["gblup"]}, metric="pearson_r", seed=0,
    )  # fmt: skip
    for row in table.to_dict("records"):
        assert -1.0 < row["this_split"] < 1.0
        assert np.isnan(row["this_split_sd"])
        assert row["validated"] == 40
    assert table["random"].iloc[0] > table["this_split"].iloc[0] + 0.3, "copies are on both sides at random"
    assert "A random split flatters" in explain_comparison(table)[0]
