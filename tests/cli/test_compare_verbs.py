"""``--compare`` of split and leaderboard: baselines and detectors at random beside the split that is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SPLIT = ("split", "--data", "data.csv", "--trait", "leaf", "--group-by", "column:family", "-o", "new")


def test_split_compares_on_development_samples(folder: Path, run: Any) -> None:
    done = run(*SPLIT, "--folds", "3", "--compare", "--baselines", "mean,ridge")
    assert done.code == 0, done
    table = pd.read_csv(folder / "new" / "comparison.csv")
    assert set(table["name"]) == {
        "mean", "ridge", "nearest_neighbour", "group_mean", "principal_components", "gc_length",
    }  # fmt: skip
    assert (table["folds"] == 3).all()
    np.testing.assert_allclose(table["inflation"], table["random"] - table["this_split"], atol=1e-12)
    split = pd.read_csv(folder / "new" / "split.csv")
    assert int(table["validated"].iloc[0]) == round((split["set"] == "train").sum() / 3)
    printed = done.out[done.out.index("\nname ") :].splitlines()
    shown = printed[1 : printed.index("", 1)]
    assert len(shown) == 1 + len(table)
    assert max(map(len, shown)) <= 80
    assert "ridge, the best at random" in done.out or "mean, the best at random" in done.out
    page = (folder / "new" / "split_card.html").read_text()
    assert "What honesty costs" in page
    assert "new/split_card.html" in done.out.splitlines()[-1]


def test_without_compare_nothing_is_compared(folder: Path, run: Any) -> None:
    assert run(*SPLIT).code == 0
    assert not (folder / "new" / "comparison.csv").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("--compare", "--baselines", "rigde"), ("rigde", "ridge")), (("--baselines", "ridge"), ("--compare", "ridge"))],
)
def test_a_wrong_baseline_is_one_line_and_writes_nothing(
    folder: Path, run: Any, words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    done = run(*SPLIT, *words)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    for fragment in expected:
        assert fragment in done.err
    assert not (folder / "new").exists()


def test_leaderboard_compares_the_baselines_of_the_run_and_leaves_the_test_set_sealed(finished: Path, run: Any) -> None:
    (finished / "sealed_test.npz").unlink()  # it is not needed, so it is not read
    before = {path.name: path.read_bytes() for path in finished.iterdir() if path.is_file()}
    done = run("leaderboard", finished, "--compare")
    assert done.code == 0, done
    table = pd.read_csv(finished / "comparison.csv")
    assert set(table.loc[table["kind"] == "baseline", "name"]) == {"mean", "ridge"}
    board = pd.read_csv(finished / "leaderboard.csv").set_index("name")
    fresh = table.set_index("name")
    assert fresh.loc["mean", "this_split"] == pytest.approx(board.loc["mean", "val_pearson_r"], abs=1e-9)
    for name, content in before.items():
        if not name.startswith("split_card.html"):
            assert (finished / name).read_bytes() == content, name


def test_leaderboard_without_its_data_says_what_is_missing(finished: Path, run: Any) -> None:
    (finished / "development.npz").unlink()
    done = run("leaderboard", finished, "--compare")
    assert done.code == 2
    assert "development.npz: is missing" in done.err
    assert not (finished / "comparison.csv").exists()
