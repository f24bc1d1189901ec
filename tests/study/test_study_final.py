"""The final test: who is tested, who wins, and that it happens once."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress, pearsonr
from sklearn.metrics import r2_score

from automl_pheno.data import Dataset, Inputs, load_dataset, save_dataset
from automl_pheno.errors import StudyError
from automl_pheno.splits import Split, read_split, write_split
from automl_pheno.study.choice import choose_finalists
from automl_pheno.study.final import FinalPlan, run_final
from automl_pheno.study.out_of_fold import write_predictions
from automl_pheno.study.progress import Silent
from automl_pheno.study.records import TrialRecord
from automl_pheno.study.run_folder import RunFolder
from automl_pheno.study.slots.executor import InProcess


def network(number, value, noise, state="complete"):
    return TrialRecord(
        kind="network", name=f"toy-{number}", trial=number, state=state, value=value, best_epoch=number + 2,
        seed=number, candidate={"name": "network", "noise": noise},
    )  # fmt: skip


def baseline(name, value, noise, state="complete"):
    return TrialRecord(
        kind="baseline", name=name, state=state, value=value, seed=9, candidate={"name": name, "noise": noise}
    )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    n, n_test = 90, 40
    ids = np.array([f"s{i}" for i in range(n)])
    sets = np.array(["train"] * 40 + ["validation"] * 10 + ["test"] * n_test)
    dataset = Dataset(
        name="toy",
        ids=ids,
        inputs=Inputs(kind="genotype", values=rng.integers(0, 3, (n, 4)).astype(np.float32)),
        traits=pd.DataFrame({"yield": rng.normal(size=n)}, index=ids),
        columns=pd.DataFrame(index=ids),
    )
    split = Split(ids=ids, group=np.arange(n), set=sets, fold=np.full(n, -1))
    write_split(split, tmp_path / "split.csv")
    save_dataset(dataset.take(split.development), tmp_path / "development.npz")
    save_dataset(dataset.take(split.test), tmp_path / "sealed_test.npz")
    return RunFolder(tmp_path, metric="pearson_r", parameters=())


def test(folder, **fields):
    plan = {
        "metric": "pearson_r", "networks": 2, "members": 1, "seed": 1, "trait": "yield", "trials": 4,
        "common": {"run": str(folder.path)}, "function": "study_trials:refit", **fields,
    }  # fmt: skip
    return run_final(FinalPlan(**plan), folder, InProcess(), Silent())


test.__test__ = False


def test_winner_is_chosen_by_validation_even_when_another_tests_better(folder):
    for record in (network(0, 0.6, 2.0), network(1, 0.9, 1.0), network(2, 0.5, 0.0), baseline("ridge", 0.8, 0.1)):
        folder.append(record)
    final = test(folder)
    assert [entry["name"] for entry in final["finalists"]] == ["toy-1", "ridge", "toy-0"]
    assert final["winner"]["name"] == "toy-1"
    assert final["finalists"][1]["test"]["pearson_r"] > final["winner"]["test"]["pearson_r"]
    assert final["comparison"]["sentence"].startswith(
        "The network toy-1 is worse than ridge: difference in Pearson r -"
    )
    table = pd.read_csv(folder.path / "test_predictions.csv")
    assert list(table.columns) == ["id", "observed", "toy-1", "ridge", "toy-0"]
    assert len(table) == 40
    for entry in final["finalists"]:
        predicted = table[entry["name"]]
        assert entry["test"]["pearson_r"] == pytest.approx(pearsonr(table["observed"], predicted).statistic)
        assert entry["test"]["r2"] == pytest.approx(r2_score(table["observed"], predicted))
        assert entry["low"] < entry["test"]["pearson_r"] < entry["high"]
        assert set(entry["intervals"]) == {"pearson_r", "spearman", "r2", "rmse", "mae"}
    assert (folder.path / "best" / "who.txt").read_text() == "network 3"  # the best epoch of toy-1
    assert json.loads((folder.path / "final.json").read_text())["n_test"] == 40
    board = pd.read_csv(folder.path / "leaderboard.csv").set_index("name")
    assert board.loc["ridge", "test_pearson_r"] == final["finalists"][1]["test"]["pearson_r"]
    assert np.isnan(board.loc["toy-2", "test_pearson_r"])


def test_the_test_set_is_opened_once(folder):
    folder.append(baseline("ridge", 0.8, 0.1))
    test(folder)
    before = (folder.path / "final.json").read_bytes()
    with pytest.raises(StudyError, match="was opened"):
        test(folder)
    assert (folder.path / "final.json").read_bytes() == before


def test_a_finalist_that_cannot_be_refitted_does_not_win(folder):
    folder.append(network(0, 0.9, -1.0))
    folder.append(baseline("ridge", 0.5, 0.1))
    final = test(folder)
    assert final["winner"]["name"] == "ridge"
    assert final["finalists"][0]["reason"] == "ValueError: noise must not be negative"
    assert final["comparison"] is None


def test_nothing_complete_is_an_error_and_opens_nothing(folder):
    folder.append(network(0, None, 1.0, state="failed"))
    with pytest.raises(StudyError, match="nothing to test"):
        test(folder)
    assert not (folder.path / "final.json").exists()


def test_finalists_are_the_best_networks_and_all_baselines():
    records = [
        network(0, 0.1, 0), network(1, 0.3, 0), network(2, 0.2, 0), network(3, 0.9, 0, state="pruned"),
        baseline("mean", 0.0, 0), baseline("gblup", None, 0, state="failed"), baseline("ridge", 0.25, 0),
    ]  # fmt: skip
    by_r = choose_finalists(records, metric="pearson_r", networks=2)
    assert [record.name for record in by_r] == ["toy-1", "ridge", "toy-2", "mean"]
    by_error = choose_finalists(records, metric="rmse", networks=1)
    assert [record.name for record in by_error] == ["mean", "toy-0", "ridge"]
    one_of_each = choose_finalists(records, metric="pearson_r", networks=1, baselines=1)
    assert [record.name for record in one_of_each] == ["toy-1", "ridge"]


def held_out(folder, **noise):
    """Keep predictions of the ten validated samples of each candidate, and return them with the trait."""
    y = load_dataset(folder.path / "development.npz").y("yield")
    rng = np.random.default_rng(5)
    found = {}
    for name, sd in noise.items():
        found[name] = np.where(np.arange(len(y)) >= 40, 2.0 * y + sd * rng.normal(size=len(y)), np.nan)
        write_predictions(folder.path, name.replace("_", "-"), found[name])
    return y, found


def test_every_finalist_has_slope_and_intercept_on_test_and_held_out_samples(folder):
    for record in (network(0, 0.9, 0.5), baseline("ridge", 0.8, 0.1), baseline("mean", 0.0, -1.0)):
        folder.append(record)
    y, predictions = held_out(folder, toy_0=0.3)
    final = test(folder)
    table = pd.read_csv(folder.path / "test_predictions.csv")
    board = pd.read_csv(folder.path / "leaderboard.csv").set_index("name")
    for entry in final["finalists"][:2]:
        line = linregress(table[entry["name"]], table["observed"])
        found = entry["calibration"]
        assert (found["slope"], found["intercept"]) == pytest.approx((line.slope, line.intercept))
        assert found["slope_low"] < found["slope"] < found["slope_high"]
        assert found["intercept_low"] < found["intercept"] < found["intercept_high"]
        for key, value in found.items():
            assert board.loc[entry["name"], f"test_{key}"] == value
    line = linregress(predictions["toy_0"][40:], y[40:])
    validation = final["winner"]["validation_calibration"]
    assert (validation["slope"], validation["intercept"]) == pytest.approx((line.slope, line.intercept))
    assert validation["slope_low"] <= validation["slope"] <= validation["slope_high"]
    assert final["finalists"][1]["validation_calibration"] is None, "its held-out predictions are not kept"
    unfitted = final["finalists"][2]
    assert (unfitted["calibration"], unfitted["low"], unfitted["test"]) == (None, None, {})


def test_where_only_the_record_knows_the_slope_there_is_no_interval(folder):
    folder.append(replace(network(0, 0.9, 0.5), validation_calibration={"slope": 1.4, "intercept": 0.1}))
    final = test(folder)
    known = {key: value for key, value in final["winner"]["validation_calibration"].items() if value is not None}
    assert known == {"slope": 1.4, "intercept": 0.1}
    assert pd.read_csv(folder.path / "leaderboard.csv")["val_slope"][0] == 1.4


def test_the_winner_is_announced_with_those_that_validation_cannot_tell_apart(folder):
    values = {"toy-0": 0.95, "ridge": 0.94, "toy-1": 0.93, "boosting": 0.2}
    for name, value in values.items():
        folder.append(network(int(name[-1]), value, 1.0) if name[:3] == "toy" else baseline(name, value, 1.0))
    held_out(folder, toy_0=0.3, ridge=0.35, toy_1=0.35, boosting=30.0)
    final = test(folder)
    assert final["winner"]["name"] == "toy-0"
    assert final["tied_with"] == ["ridge", "toy-1"]
    assert final["tie_note"].startswith(
        "toy-0 is first of three that validation cannot tell apart: toy-0, ridge and toy-1 (95% paired bootstrap of "
        "samples over 10 held-out predictions, jointly for 4 candidates)."
    )


def test_candidates_without_held_out_predictions_are_counted(folder):
    for record in (network(0, 0.95, 1.0), baseline("ridge", 0.94, 1.0), baseline("boosting", 0.93, 1.0)):
        folder.append(record)
    held_out(folder, toy_0=0.3, ridge=0.35)
    final = test(folder)
    assert final["tied_with"] == ["ridge"]
    assert final["tie_note"].endswith(" 1 candidate without held-out predictions in this folder could not be compared.")


def test_a_winner_without_held_out_predictions_is_not_known_to_stand_alone(folder):
    for record in (network(0, 0.95, 1.0), baseline("ridge", 0.94, 1.0)):
        folder.append(record)
    held_out(folder, ridge=0.35)
    final = test(folder)
    assert final["tied_with"] == []
    assert final["tie_note"].startswith("Held-out predictions of toy-0 are not in this folder")


def test_the_comparison_has_order_and_scale_and_the_verdict_needs_both(folder):
    folder.append(network(0, 0.9, 0.4))
    folder.append(baseline("ridge", 0.8, 2.0))
    comparison = test(folder)["comparison"]
    assert list(comparison["measures"]) == ["pearson_r", "rmse"]
    assert comparison["verdict"] == "better"
    table = pd.read_csv(folder.path / "test_predictions.csv")
    errors = {name: np.sqrt(((table["observed"] - table[name]) ** 2).mean()) for name in ("toy-0", "ridge")}
    assert comparison["measures"]["rmse"]["difference"] == pytest.approx(errors["toy-0"] - errors["ridge"])
    assert comparison["difference"] == comparison["measures"]["pearson_r"]["difference"]


def test_only_as_many_of_each_kind_are_refitted_as_asked_for(folder):
    records = [network(0, 0.9, 0.4), network(1, 0.8, 0.4), baseline("ridge", 0.7, 1.0), baseline("mean", 0.0, 2.0)]
    for record in records:
        folder.append(record)
    final = test(folder, networks=1, baselines=1)
    assert [entry["name"] for entry in final["finalists"]] == ["toy-0", "ridge"]
    assert sorted(path.name for path in (folder.path / "finalists").iterdir()) == ["ridge", "toy-0"]
    board = pd.read_csv(folder.path / "leaderboard.csv").set_index("name")
    assert board["test_pearson_r"].notna().to_dict() == {"toy-0": True, "toy-1": False, "ridge": True, "mean": False}


def test_the_weights_of_a_finalist_are_those_of_the_saved_model(folder):
    folder.append(replace(network(0, 0.9, 0.4), weights=7))
    final = test(folder)
    board = pd.read_csv(folder.path / "leaderboard.csv")
    assert final["winner"]["weights"] == 5 == board["weights"][0]


@pytest.mark.parametrize(("groups", "said"), [(1, "of 1 group,"), (4, "of 4 groups,"), (20, "")])
def test_few_groups_of_test_samples_do_not_make_a_certain_interval(folder, groups, said):
    split = read_split(folder.path / "split.csv")
    group = np.where(split.set == "test", np.arange(len(split.set)) % groups, 100 + np.arange(len(split.set)))
    write_split(replace(split, group=group), folder.path / "split.csv")
    folder.append(network(0, 0.6, 2.0))
    final = test(folder)
    assert final["winner"]["high"] - final["winner"]["low"] > 0.1
    assert said in final["interval_note"]
    assert bool(said) == bool(final["interval_note"])
