"""Runs and winners from Python, on data given in each form."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import automl_pheno as ap
from automl_pheno.data import Inputs, encode_sequences, read_dataset

N, LENGTH = 200, 24
SPACE = """\
input: {input}
trunk: [{{block: flatten}}]
head: [{{block: dense, units: {{values: [4, 8]}}}}]
"""
QUICK = {"trials": 0, "baselines": ["ridge"], "workers": 0, "explain": False}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    bases = rng.integers(0, 4, size=(N, LENGTH))
    y = (bases[:, 3] == 0) * 2.0 - (bases[:, 9] == 2) + rng.normal(scale=0.1, size=N)
    sequences = ["".join("ACGT"[b] for b in row) for row in bases]
    return pd.DataFrame({"id": [f"p{i}" for i in range(N)], "sequence": sequences, "leaf": y})


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame) -> Path:
    """Return a folder with data, a space and a finished run; not to be changed."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "space.yaml").write_text(SPACE.format(input="sequence"))
    table.to_csv(folder / "promoters.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        ap.search(space="space.yaml", data="promoters.csv", trait="leaf", **QUICK)
    return folder


@pytest.fixture
def place(searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of it, the working folder."""
    shutil.copytree(searched, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def best(place: Path) -> ap.Best:
    return ap.load("studies/promoters")


def test_a_search_in_python_gives_the_run_of_its_folder(place: Path, table: pd.DataFrame) -> None:
    run = ap.search(space="space.yaml", data="promoters.csv", trait="leaf", **QUICK)  # finished: it is read again
    assert run.path == Path("studies/promoters")
    assert run.is_finished
    pd.testing.assert_frame_equal(run.leaderboard, pd.read_csv(run.path / "leaderboard.csv"))
    assert run.final["winner"]["name"] == "ridge"
    assert run.leaderboard["test_pearson_r"].iloc[0] > 0.9  # the trait is linear in the bases
    best = ap.load("studies/promoters")
    assert (best.kind, best.input, best.width, best.trait) == ("ridge", "sequence", LENGTH, "leaf")
    assert np.corrcoef(best.predict(table["sequence"].tolist()), table["leaf"])[0, 1] > 0.95


def test_a_data_frame_is_the_same_data_as_its_file(place: Path, table: pd.DataFrame) -> None:
    from_file = ap.Run(place / "studies" / "promoters")
    from_frame = ap.search(space="space.yaml", data=table.set_index("id"), trait="leaf", out="b", **QUICK)
    from_dataset = ap.search(space="space.yaml", data=ap.read("promoters.csv"), trait="leaf", out="c", **QUICK)
    scores = [run.leaderboard.drop(columns="seconds") for run in (from_file, from_frame, from_dataset)]
    pd.testing.assert_frame_equal(scores[0], scores[1])
    pd.testing.assert_frame_equal(scores[0], scores[2])


def test_each_form_of_input_gives_the_same_prediction(best: ap.Best, table: pd.DataFrame) -> None:
    sequences = table["sequence"].tolist()
    expected = best.predict(sequences)
    codes, _ = encode_sequences(sequences)
    dataset = read_dataset("promoters.csv")
    for given in ("promoters.csv", Path("promoters.csv"), table, dataset, Inputs(kind="sequence", values=codes)):
        np.testing.assert_array_equal(best.predict(given), expected)
    np.testing.assert_allclose(best.predict([s.lower().replace("t", "u") for s in sequences]), expected)


def test_a_shorter_sequence_is_padded_and_a_longer_one_refused(best: ap.Best, table: pd.DataFrame) -> None:
    samples = best.samples([table["sequence"][0][:20]])
    assert samples.inputs.width == LENGTH
    assert any("padded" in note for note in samples.notes)
    with pytest.raises(ap.AutoMLPhenoError, match="reads inputs of 24 bp, got 25 bp"):
        best.predict(["A" * 25])
    with pytest.raises(ap.AutoMLPhenoError, match="must be text, got int"):
        best.predict([1, 2])  # type: ignore[list-item]
    with pytest.raises(ap.AutoMLPhenoError, match="is the baseline 'ridge'"):
        _ = best.model


def test_best_can_be_copied_elsewhere(best: ap.Best, table: pd.DataFrame) -> None:
    expected = best.predict(table)
    best.path.rename("model")
    copied = ap.load("model")
    np.testing.assert_array_equal(copied.predict(table), expected)
    with pytest.raises(ap.AutoMLPhenoError, match="development samples"):
        copied.explain(table)


def test_dosages_from_a_data_frame_are_matched_by_variant(place: Path) -> None:
    rng = np.random.default_rng(5)
    dosages = pd.DataFrame(
        rng.integers(0, 3, size=(N, 12)), index=[f"g{i}" for i in range(N)], columns=[f"v{j}" for j in range(12)]
    )
    traits = pd.DataFrame({"id": dosages.index, "height": dosages["v2"] - dosages["v7"] + rng.normal(size=N) / 9})
    traits.to_csv("traits.csv", index=False)
    Path("space.yaml").write_text(SPACE.format(input="genotype"))
    run = ap.search(space="space.yaml", data=dosages, trait_table="traits.csv", trait="height", out="g", **QUICK)
    expected = run.best.predict(dosages)
    assert np.corrcoef(expected, traits["height"])[0, 1] > 0.95
    np.testing.assert_allclose(run.best.predict(dosages[rng.permutation(dosages.columns)]), expected)
    fewer = run.best.samples(dosages.drop(columns="v2"))
    assert np.isnan(fewer.inputs.values[:, 2]).all()
    assert any("1 of the 12 variants" in note for note in fewer.notes)
    with pytest.raises(ap.AutoMLPhenoError, match="none of the 12 variants"):
        run.best.predict(dosages.add_prefix("x"))


def test_the_explanation_of_a_linear_winner_finds_its_positions(best: ap.Best, table: pd.DataFrame) -> None:
    attribution = best.explain(samples=30)
    importance = np.abs(attribution.contributions).mean(axis=0)
    assert set(np.argsort(-importance)[:2]) == {3, 9}
    assert attribution.to_shap().values.shape == (30, LENGTH)
    assert attribution.plot(samples=2) is not None


def test_an_unfinished_or_absent_run_says_so(place: Path) -> None:
    with pytest.raises(ap.AutoMLPhenoError, match="no such run folder"):
        ap.Run(place / "studies" / "none")
    (place / "studies" / "half").mkdir(parents=True)
    (place / "studies" / "half" / "study.yaml").write_text("schema: 1\n")
    with pytest.raises(ap.AutoMLPhenoError, match="resumes"):
        _ = ap.Run(place / "studies" / "half").best
    with pytest.raises(ap.AutoMLPhenoError, match="did you mean 'half'"):
        ap.load("studies/hal")


def test_an_unknown_option_is_refused_with_a_guess(place: Path) -> None:
    with pytest.raises(ap.AutoMLPhenoError, match=r"'trails'.*did you mean 'trials'"):
        ap.search(space="space.yaml", data="promoters.csv", trails=3)
