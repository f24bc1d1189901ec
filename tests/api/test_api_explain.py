"""Explaining finalists of a run: winner, counterpart, samples of a file; what stands against them is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import automl_pheno as ap
from automl_pheno.api.explain import explain_run
from automl_pheno.errors import StudyError, UnknownNameError
from automl_pheno.explain import PARTS

N, LENGTH = 160, 24
SPACE = """\
input: sequence
trunk:
  - {block: conv, filters: {values: [4, 6]}, kernel_size: 5}
  - {block: flatten}
fit: {max_epochs: 3, learning_rate: 0.01}
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run with a network and two baselines, trained too little to be good; not to be changed."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "space.yaml").write_text(SPACE)
    rng = np.random.default_rng(11)
    bases = rng.integers(0, 4, size=(N, LENGTH))
    y = (bases[:, 3] == 0) * 2.0 - (bases[:, 9] == 2) + rng.normal(scale=0.1, size=N)
    sequences = ["".join("ACGT"[b] for b in row) for row in bases]
    table = pd.DataFrame({"id": [f"p{i}" for i in range(N)], "sequence": sequences, "leaf": y})
    table.to_csv(folder / "promoters.csv", index=False)
    ap.search(
        space=folder / "space.yaml", data=folder / "promoters.csv", trait="leaf", trials=1, baselines=["ridge", "mean"],
        workers=0, explain=False, out=folder / "run",
    )  # fmt: skip
    return folder


@pytest.fixture
def place(searched: Path, tmp_path: Path) -> Path:
    """Return a copy of it."""
    shutil.copytree(searched, tmp_path, dirs_exist_ok=True)
    return tmp_path


def network(run: Path) -> str:
    final = json.loads((run / "final.json").read_text())
    return str(next(entry["name"] for entry in final["finalists"] if entry["kind"] == "network"))


def test_the_winner_and_its_counterpart_are_explained(place: Path) -> None:
    run = place / "run"
    name = network(run)
    winner, other = explain_run(run, targets=["winner", name], parts=[], samples=20)
    assert winner.name == "ridge"  # on an additive trait, with a network of three epochs
    assert (winner.folder, other.folder) == (run / "explain", run / f"explain_{name}")
    assert (winner.method, other.method) == ("linear", "deeplift")
    top = pd.read_csv(winner.folder / "importance.csv").nlargest(2, "mean_abs")["position"]
    assert set(top) == {4, 10}


def test_a_network_that_does_not_beat_the_baseline_is_explained_with_a_warning(place: Path) -> None:
    run = place / "run"
    folder = f"finalists/{network(run)}"
    (explained,) = explain_run(run, targets=[network(run)], parts=[], samples=10)
    manifest = json.loads((explained.folder / "manifest.json").read_text())
    assert "than ridge" in manifest["warnings"][0]
    assert manifest["warnings"][0] in explained.notes
    found = ap.load(run / folder).explain(samples=5)
    assert found.warnings[0] == manifest["warnings"][0]
    above = found.plot(samples=2).get_suptitle()
    assert "than ridge" in " ".join(above.split())


def test_samples_of_a_file_are_explained_in_a_folder_of_their_own(place: Path) -> None:
    (place / "new.fa").write_text(">a\n" + "ACGT" * 6 + "\n>b\n" + "TTGCA" * 4 + "\n")
    (explained,) = explain_run(place / "run", source=place / "new.fa", parts=[])
    assert explained.folder == place / "run" / "explain_new"
    assert explained.n == 2
    assert any("padded" in note for note in explained.notes)
    assert not (place / "run" / "explain").exists()


def test_a_name_that_is_no_finalist_or_no_part_is_refused_before_anything_is_written(place: Path) -> None:
    with pytest.raises(StudyError, match=r"'rigde' is no finalist.*ridge"):
        explain_run(place / "run", targets=["winner", "rigde"])
    with pytest.raises(UnknownNameError, match="stabilty"):
        explain_run(place / "run", parts=["stabilty"])
    assert not (place / "run" / "explain").exists()


def test_every_part_of_a_run_of_sequences_ends(place: Path) -> None:
    """But those that compile for a minute on a new machine; they have slow tests of their own."""
    parts = [name for name in PARTS if name not in ("matches", "modisco")]
    (explained,) = explain_run(place / "run", targets=[network(place / "run")], parts=parts, samples=12, refits=2)
    manifest = json.loads((explained.folder / "manifest.json").read_text())
    assert not [part for part, facts in manifest["parts"].items() if "failed" in facts]
    assert "not_applicable" in manifest["parts"]["loci"]
    assert {path.name for path in explained.files} == {path.name for path in explained.folder.iterdir()}
