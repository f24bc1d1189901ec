"""Which network stands for the search."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.data import Dataset, Inputs, save_dataset
from automl_pheno.metrics import METRICS
from automl_pheno.splits import Split, write_split
from automl_pheno.study.choice import RULES, choose_finalists, choose_network, order_candidates
from automl_pheno.study.final import FinalPlan, run_final
from automl_pheno.study.out_of_fold import write_predictions
from automl_pheno.study.progress import Silent
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import RunFolder
from automl_pheno.study.slots.executor import InProcess
from automl_pheno.study.ties import HeldOut

DEFAULT = {"fit.learning_rate": 0.001, "trunk.0.filters": 8}


def network(number, value, **fields):
    params = DEFAULT if number == 0 else {**DEFAULT, "trunk.0.filters": 8 + number}
    return TrialRecord(
        kind="network", name=f"toy-{number}", trial=number, state="complete", value=value, params=params, best_epoch=3,
        seed=number, candidate={"name": "network", "noise": 1.0}, **fields,
    )  # fmt: skip


def baseline(name, value):
    return TrialRecord(
        kind="baseline", name=name, state="complete", value=value, seed=9, candidate={"name": name, "noise": 1.0}
    )


def choose(records, *, error, metric="pearson_r", rule="one-standard-error", networks=3, baselines=None):
    choice = choose_network(
        order_candidates(records, metric=metric), metric=metric, rule=rule, default=DEFAULT,
        standard_error=lambda one, other: error,
    )  # fmt: skip
    finalists = choose_finalists(records, metric=metric, networks=networks, baselines=baselines, choice=choice)
    return choice, [record.name for record in finalists]


SEARCH = [network(0, 0.50), network(1, 0.54), network(2, 0.52), network(3, 0.48), baseline("gblup", 0.51)]


@pytest.mark.parametrize(
    ("error", "rule", "network_", "finalists"),
    [
        (0.05, "one-standard-error", "toy-0", ["gblup", "toy-0", "toy-1", "toy-2"]),
        (0.03, "one-standard-error", "toy-1", ["toy-1", "toy-2", "gblup", "toy-0"]),
        (0.05, "best", "toy-1", ["toy-1", "toy-2", "gblup", "toy-0"]),
        (None, "one-standard-error", "toy-1", ["toy-1", "toy-2", "gblup", "toy-0"]),
    ],
)
def test_the_best_must_be_better_than_the_hand_made_one_by_more_than_chance(error, rule, network_, finalists):
    choice, names = choose(SEARCH, error=error, rule=rule)
    assert (choice.network, choice.best, choice.default) == (network_, "toy-1", "toy-0")
    assert (choice.of_best, choice.of_default, choice.value) == (0.54, 0.50, 0.50 if network_ == "toy-0" else 0.54)
    assert choice.difference == pytest.approx(0.04)
    assert names == finalists


def test_an_error_is_better_where_it_is_lower():
    choice, _ = choose(SEARCH, error=0.01, metric="rmse")
    assert (choice.best, choice.network, choice.difference) == ("toy-3", "toy-3", pytest.approx(0.02))
    assert choose(SEARCH, error=0.03, metric="rmse")[1] == ["toy-0", "toy-3", "gblup", "toy-2"]


def test_the_hand_made_configuration_is_a_finalist_wherever_it_stands():
    records = [network(0, 0.1), *(network(i, 0.5 + i / 100) for i in range(1, 6)), baseline("ridge", 0.3)]
    assert choose(records, error=0.01)[1] == ["toy-5", "toy-4", "ridge", "toy-0"]
    assert choose(records, error=0.01, networks=1, baselines=1)[1] == ["toy-5", "ridge"]
    assert choose(records, error=1.0, networks=1, baselines=1)[1] == ["ridge", "toy-0"]


def test_without_a_hand_made_configuration_or_without_networks_the_best_wins():
    choice, names = choose(SEARCH[1:], error=1.0)
    assert (choice.network, choice.default, choice.difference, names[0]) == ("toy-1", None, None, "toy-1")
    assert "hand-made configuration is not complete" in choice.to_json("pearson_r")["sentence"]
    assert choose([baseline("ridge", 0.3)], error=1.0) == (None, ["ridge"])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(0.0, 0.9), min_size=1, max_size=8), st.sampled_from(sorted(RULES)),
    st.one_of(st.none(), st.floats(0.001, 0.2)), st.sampled_from(["pearson_r", "rmse"]), st.booleans(),
)  # fmt: skip
def test_the_sentence_says_what_the_numbers_say(values, rule, error, metric, with_default):
    records = [network(i + (not with_default), value) for i, value in enumerate(values)]
    choice, names = choose(records, error=error, metric=metric, rule=rule)
    by_name = {record.name: record.value for record in records}
    best = (max if METRICS[metric].higher_is_better else min)(by_name.values())
    said = choice.to_json(metric)
    assert said["of_best"] == best == by_name[choice.best]
    assert said["value"] == by_name[choice.network] == by_name[names[0]]
    assert said["sentence"].startswith(choice.network)
    stands = "stands for the search" in said["sentence"]
    assert stands == (choice.network != choice.best)
    if stands:
        assert (rule, choice.network, choice.difference <= error) == ("one-standard-error", "toy-0", True)
    if "by more than one standard error" in said["sentence"]:
        assert choice.difference > choice.standard_error
    if "though by no more than" in said["sentence"]:
        assert choice.difference <= choice.standard_error


@pytest.fixture
def run(tmp_path):
    """Return a function that makes a run whose networks' held-out predictions correlate as stated with the trait."""

    def make(n, **correlation):
        rng = np.random.default_rng(3)
        ids = np.array([f"s{i}" for i in range(n + 20)])
        y = rng.normal(size=n + 20)
        sets = np.array(["train"] * n + ["test"] * 20)
        dataset = Dataset(
            name="toy", ids=ids, inputs=Inputs(kind="genotype", values=np.zeros((n + 20, 4), np.float32)),
            traits=pd.DataFrame({"yield": y}, index=ids), columns=pd.DataFrame(index=ids),
        )  # fmt: skip
        split = Split(
            ids=ids, group=np.arange(n + 20), set=sets, fold=np.where(sets == "train", np.arange(n + 20) % 5, -1)
        )
        write_split(split, tmp_path / "split.csv")
        save_dataset(dataset.take(split.development), tmp_path / "development.npz")
        save_dataset(dataset.take(split.test), tmp_path / "sealed_test.npz")
        folder = RunFolder(tmp_path, metric="pearson_r", parameters=())
        for name, (r, part) in correlation.items():
            noise = rng.normal(size=n)
            predictions = r * y[:n] + np.sqrt(1 - r * r) * noise
            number = int(name[3:])
            values = [np.corrcoef(y[:n][fold.validation], predictions[fold.validation])[0, 1] for fold in split.folds()]
            folder.append(network(number, float(np.mean(values)) if part is None else part))
            write_predictions(tmp_path, f"toy-{number}", predictions)
        return folder

    return make


def final(folder, **fields):
    plan = FinalPlan(
        metric="pearson_r", networks=2, members=1, seed=1, trait="yield", trials=4, default=DEFAULT,
        common={"run": str(folder.path)}, function="study_trials:refit", **fields,
    )  # fmt: skip
    return run_final(plan, folder, InProcess(), Silent())


def test_a_small_gain_on_few_samples_leaves_the_hand_made_one_and_a_large_one_or_many_samples_do_not(run):
    few = final(run(100, net0=(0.40, None), net1=(0.44, None)))
    assert few["choice"]["network"] == "toy-0" == few["winner"]["name"]
    assert [entry["name"] for entry in few["finalists"]] == ["toy-0", "toy-1"]
    assert "stands for the search" in few["choice"]["sentence"]
    assert few["choice"]["difference"] <= few["choice"]["standard_error"]


def test_many_samples_show_a_small_gain(run):
    many = final(run(5_000, net0=(0.40, None), net1=(0.44, None)))
    assert many["winner"]["name"] == "toy-1"
    assert many["choice"]["standard_error"] < 0.025


def test_the_rule_can_be_switched_off(run):
    best = final(run(100, net0=(0.40, None), net1=(0.44, None)), choice="best")
    assert best["winner"]["name"] == "toy-1"


def test_the_standard_error_is_that_of_independent_correlations(run):
    folder = run(4000, net0=(0.6, None), net1=(0.6, None))
    one, other = folder.records()
    found = HeldOut(folder.path, "yield", seed=0).standard_error(one, other, metric="pearson_r")
    # Olkin & Siotani 1976: two correlations r with one trait, whose predictions correlate r * r with each other
    r, between = 0.6, 0.36
    covariance = 0.5 * (2 * between - r * r) * (1 - between**2 - 2 * r * r) + between**3
    assert found == pytest.approx(np.sqrt(2 * ((1 - r * r) ** 2 - covariance) / 4000), rel=0.15)
