"""Whole runs without Keras: baselines only, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import linregress, pearsonr

from automl_pheno.api import Run
from automl_pheno.cli.tables import print_leaderboard
from automl_pheno.data import Dataset, Inputs, load_dataset
from automl_pheno.errors import CurationError, DataError, SpaceError, SplitError, StudyError
from automl_pheno.splits import read_split
from automl_pheno.study.config import make_study
from automl_pheno.study.progress import Silent
from automl_pheno.study.records import read_records
from automl_pheno.study.replay import replay_trial
from automl_pheno.study.search import run_search

SPACE = """
schema: 1
name: toy
input: genotype
trunk:
  - block: conv
    filters: {values: [4, 8]}
  - block: flatten
"""


class Listener(Silent):
    def __init__(self):
        self.messages = []

    def message(self, text):
        self.messages.append(text)


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    n = 120
    dosages = rng.integers(0, 3, (n, 30)).astype(np.float32)
    ids = np.array([f"line{i}" for i in range(n)])
    y = dosages[:, 0] - dosages[:, 1] + 0.3 * rng.normal(size=n)
    return Dataset(
        name="toy", ids=ids, inputs=Inputs(kind="genotype", values=dosages),
        traits=pd.DataFrame({"yield": y}, index=ids), columns=pd.DataFrame(index=ids), notes=("read 120 lines",),
    )  # fmt: skip


@pytest.fixture
def study(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)

    def study(**fields):
        defaults = {
            "space": tmp_path / "space.yaml", "name": "toy", "trials": 0, "workers": 0, "baselines": ("mean", "ridge")
        }  # fmt: skip
        return make_study(**{**defaults, **fields})

    return study


def test_a_run_of_baselines_from_data_to_winner(study, dataset, tmp_path):
    heard = Listener()
    run = run_search(study(), tmp_path / "run", heard, dataset=dataset)
    names = {path.name for path in run.iterdir()}
    assert names >= {
        "study.yaml", "space.yaml", "split.csv", "split_card.json", "journal.log", "trials.jsonl", "leaderboard.csv",
        "provenance.json", "best", "final.json", "test_predictions.csv",
    }  # fmt: skip
    assert "read 120 lines" in heard.messages
    final = json.loads((run / "final.json").read_text())
    assert final["winner"]["name"] == "ridge"
    assert final["winner"]["test"]["pearson_r"] > 0.8
    assert final["comparison"] is None
    assert yaml.safe_load((run / "study.yaml").read_text())["finalists"] == "auto"
    assert (run / "best" / "predictor.json").is_file()
    board = pd.read_csv(run / "leaderboard.csv")
    assert board["name"].tolist() == ["ridge", "mean"]
    assert board["test_pearson_r"].notna().all()


def test_what_the_slots_read_holds_no_test_sample(study, dataset, tmp_path):
    run = run_search(study(), tmp_path / "run", dataset=dataset)
    split = pd.read_csv(run / "split.csv")
    tested = set(split.loc[split["set"] == "test", "id"])
    assert len(tested) == 18
    assert set(load_dataset(run / "sealed_test.npz").ids) == tested
    assert set(load_dataset(run / "development.npz").ids) == set(split["id"]) - tested
    assert set(pd.read_csv(run / "test_predictions.csv")["id"]) == tested


def test_the_same_search_again_changes_nothing_and_more_is_refused(study, dataset, tmp_path):
    run = run_search(study(), tmp_path / "run", dataset=dataset)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.name != "run.lock"}
    heard = Listener()
    assert run_search(study(), tmp_path / "run", heard, dataset=dataset) == run
    assert "this run is finished" in heard.messages[-1]
    with pytest.raises(StudyError, match=r"trials 3 asks for more.*test set was opened"):
        run_search(study(trials=3), tmp_path / "run", dataset=dataset)
    assert all((run / name).read_bytes() == content for name, content in before.items())


def test_a_changed_space_data_or_split_is_refused(study, dataset, tmp_path):
    run_search(study(), tmp_path / "run", dataset=dataset)
    with pytest.raises(StudyError, match=r"split.test: was 0.15, now 0.3"):
        run_search(study(split={"test": 0.3}), tmp_path / "run", dataset=dataset)
    with pytest.raises(StudyError, match=r"data.samples: was 120, now 100\n.*data.sha256"):
        run_search(study(), tmp_path / "run", dataset=dataset.take(np.arange(100)))
    (tmp_path / "space.yaml").write_text(SPACE.replace("[4, 8]", "[4, 16]"))
    with pytest.raises(StudyError, match=r"space.trunk.0.filters.values: was \[4, 8\], now \[4, 16\]"):
        run_search(study(), tmp_path / "run", dataset=dataset)


def test_folds_give_a_spread(study, dataset, tmp_path):
    run = run_search(study(split={"method": "kfold", "folds": 3}), tmp_path / "run", dataset=dataset)
    ridge = pd.read_csv(run / "leaderboard.csv").set_index("name").loc["ridge"]
    assert 0 < ridge["val_sd"] < 0.3
    folds = json.loads((run / "trials.jsonl").read_text().splitlines()[-1])["fold_scores"]
    values = [fold["pearson_r"] for fold in folds]
    assert len(values) == 3
    assert ridge["val_pearson_r"] == pytest.approx(np.mean(values))
    assert ridge["val_sd"] == pytest.approx(np.std(values, ddof=1))


def test_held_out_predictions_give_the_recorded_scores_again(study, dataset, tmp_path):
    for name, split, n in (("one", {}, 18), ("folds", {"method": "kfold", "folds": 3}, 102)):
        run = run_search(study(split=split), tmp_path / name, dataset=dataset)
        development = load_dataset(run / "development.npz")
        held_out = np.load(run / "out_of_fold" / "ridge.npy")
        record = {record.name: record for record in read_records(run / "trials.jsonl")}["ridge"]
        own = read_split(run / "split.csv")
        parts = [fold.validation for fold in own.take(own.development).folds()]
        assert np.isfinite(held_out).sum() == n == sum(map(len, parts))
        values = [pearsonr(development.y("yield")[rows], held_out[rows]).statistic for rows in parts]
        assert record.value == pytest.approx(np.mean(values))
        known = np.isfinite(held_out)
        line = linregress(held_out[known], development.y("yield")[known])
        assert record.validation_calibration == pytest.approx({"slope": line.slope, "intercept": line.intercept})
        board = pd.read_csv(run / "leaderboard.csv").set_index("name")
        assert board.loc["ridge", "val_slope"] == pytest.approx(line.slope)
        assert np.isnan(board.loc["mean", "val_slope"]) or name == "folds"


def test_folds_of_two_samples_are_scored_at_once_and_that_is_said(study, dataset, tmp_path, capsys):
    heard = Listener()
    small = dataset.take(np.arange(60))
    config = study(split={"method": "kfold", "folds": 25})
    run = run_search(config, tmp_path / "run", heard, dataset=small)
    sizes = np.unique(read_split(run / "split.csv").fold, return_counts=True)[1][1:]
    said = f"over the held-out samples of all folds at once: one of 25 folds has {sizes.min()} sample"
    assert sizes.max() <= 4
    assert sum(said in message for message in heard.messages) == 1
    board = pd.read_csv(run / "leaderboard.csv").set_index("name")
    held_out, y = np.load(run / "out_of_fold" / "ridge.npy"), load_dataset(run / "development.npz").y("yield")
    assert board.loc["ridge", "val_pearson_r"] == pytest.approx(pearsonr(y, held_out).statistic)
    assert board.loc["ridge", "val_rmse"] == pytest.approx(np.sqrt(((y - held_out) ** 2).mean()))
    assert board["pooled"].all()
    assert board["val_sd"].isna().all()
    assert json.loads((run / "final.json").read_text())["pooled"] is True
    assert "over all held-out samples at once" in Run(run).winner
    print_leaderboard(Run(run).leaderboard, top=1)
    assert "val r is over all held-out samples at once" in capsys.readouterr().out
    assert replay_trial(run, "ridge").verdict == "identical"
    with pytest.raises(StudyError, match="pruner wilcoxon compares scores of single folds, but one of 25 folds has"):
        run_search(config.model_copy(update={"pruner": "wilcoxon"}), tmp_path / "other", dataset=small)
    assert not (tmp_path / "other").exists()


def test_a_number_of_finalists_counts_baselines_too(study, dataset, tmp_path):
    run = run_search(study(finalists=1), tmp_path / "run", dataset=dataset)
    final = json.loads((run / "final.json").read_text())
    assert [entry["name"] for entry in final["finalists"]] == ["ridge"]
    assert final["tied_with"] == [], "the mean baseline is compared by its held-out predictions, and told apart"
    assert final["tie_note"] == ""
    assert Run(run).winner.startswith("Winner by validation (Pearson r 0.")


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"space": Path("nowhere.yaml")}, SpaceError, "nowhere.yaml: no such file"),
        ({"data": {"file": "nowhere.csv"}}, DataError, "nowhere.csv"),
        ({"split": {"groups": ("column:farm",)}}, SplitError, "farm"),
        ({"engine": "gp"}, StudyError, "needs the package 'torch': pip install torch"),
    ],
)
def test_bad_input_writes_nothing(study, dataset, tmp_path, fields, error, message):
    if fields.get("engine") == "gp":
        pytest.importorskip("optuna")
        import importlib.util

        if importlib.util.find_spec("torch") is not None:
            pytest.skip("torch is installed")
    with pytest.raises(error, match=message):
        run_search(study(**fields), tmp_path / "run", dataset=None if "data" in fields else dataset)
    assert not (tmp_path / "run").exists()


def test_a_space_for_other_inputs_is_refused(study, dataset, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE.replace("genotype", "sequence"))
    with pytest.raises(StudyError, match="the space is for sequence inputs, but toy holds genotypes"):
        run_search(study(), tmp_path / "run", dataset=dataset)


@pytest.fixture
def copied(dataset):
    """Return the samples and a copy of each with one call changed: as alike as one sample read twice."""
    again = dataset.inputs.values.copy()
    again[:, 7] = (again[:, 7] + 1) % 3
    values = np.concatenate([dataset.inputs.values, again])
    ids = np.array([*dataset.ids, *(f"{name}_again" for name in dataset.ids)])
    y = np.tile(dataset.y("yield"), 2)
    return Dataset(
        name="toy", ids=ids, inputs=Inputs(kind="genotype", values=values),
        traits=pd.DataFrame({"yield": y}, index=ids), columns=pd.DataFrame(index=ids),
    )  # fmt: skip


def test_a_leak_stops_the_search_before_anything_is_written(study, copied, tmp_path):
    with pytest.raises(SplitError, match=r"the split leaks: .*leakage: report"):
        run_search(study(split={"groups": ("random",)}), tmp_path / "run", dataset=copied)
    assert not (tmp_path / "run").exists()


def test_a_leak_is_told_where_the_study_allows_it(study, copied, tmp_path):
    heard = Listener()
    config = study(split={"groups": ("random",)}, leakage="report")
    run = run_search(config, tmp_path / "run", heard, dataset=copied)
    assert any(message.startswith("leak: ") for message in heard.messages)
    card = json.loads((run / "split_card.json").read_text())
    assert card["statement"].startswith("not leakage-free")
    assert card["audit"]["leaks"]


def test_what_was_copied_stays_together_without_being_asked(study, copied, tmp_path):
    run = run_search(study(), tmp_path / "run", dataset=copied)
    split = pd.read_csv(run / "split.csv")
    split["sample"] = split["id"].str.replace("_again", "")
    assert (split[split["set"] != "purged"].groupby("sample")["set"].nunique() == 1).all()


def test_resuming_takes_up_the_split_instead_of_making_it_again(study, dataset, tmp_path, monkeypatch):
    run_search(study(), tmp_path / "run", dataset=dataset)
    (tmp_path / "run" / "final.json").unlink()

    def refuse(*_: object) -> None:
        msg = "the split was made again"
        raise AssertionError(msg)

    monkeypatch.setattr("automl_pheno.study.material.make_split", refuse)
    run_search(study(), tmp_path / "run", dataset=dataset)


def test_a_curation_reaches_every_candidate(study, dataset, tmp_path):
    config = study(curation={"ld_prune": 0.5, "min_maf": 0.05}, baselines=("ridge",))
    run = run_search(config, tmp_path / "run", dataset=dataset)
    record = json.loads((run / "trials.jsonl").read_text().splitlines()[0])
    assert record["candidate"]["curation"]["ld_prune"] == 0.5
    assert (run / "best" / "curated.json").is_file()


def test_a_curation_of_variants_is_refused_for_sequences_before_the_run_begins(study, tmp_path):
    letters = np.random.default_rng(0).integers(0, 4, (80, 20))
    ids = np.array([f"s{i}" for i in range(80)])
    sequences = Dataset(
        name="s", ids=ids, inputs=Inputs(kind="sequence", values=(1 << letters).astype(np.uint8)),
        traits=pd.DataFrame({"y": np.arange(80.0)}, index=ids), columns=pd.DataFrame(index=ids),
    )  # fmt: skip
    with pytest.raises(CurationError, match=r"curation.ld_prune: is about variants"):
        run_search(study(curation={"ld_prune": 0.5}), tmp_path / "run", dataset=sequences)
    assert not (tmp_path / "run").exists()
