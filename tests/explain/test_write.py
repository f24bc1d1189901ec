"""An explanation on disk: whole, readable by others, and never half of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.errors import OutputError
from automl_pheno.explain import Part, Parts, write_explanation
from automl_pheno.explain.attribution import Attribution, at_bases
from automl_pheno.explain.tracks import bedgraph


def sequences(n: int = 6, length: int = 9, **changes: object) -> Attribution:
    rng = np.random.default_rng(0)
    inputs = Inputs(kind="sequence", values=(1 << rng.integers(0, 4, (n, length))).astype(np.uint8))
    given: dict[str, object] = {
        "inputs": inputs, "ids": np.array([f"s{i}" for i in range(n)]), "rows": np.arange(n),
        "values": at_bases(rng.normal(size=(n, length)), inputs), "base_value": np.zeros(n),
        "predictions": np.arange(n, dtype=float), "completeness": np.zeros(n), "method": "deeplift",
        "hypothetical": rng.normal(size=(n, length, 4)), "deltas": np.zeros((n, 4)),
        "manifest": {"method": "deeplift", "input": "sequence"},
    }  # fmt: skip
    return Attribution(**(given | changes))  # type: ignore[arg-type]


def variants(positions: list[int], chromosomes: list[str]) -> Attribution:
    p = len(positions)
    table = pd.DataFrame({
        "id": [f"v{i}" for i in range(p)], "chromosome": chromosomes, "position": positions, "ref": "A", "alt": "C",
    })  # fmt: skip
    inputs = Inputs(kind="genotype", values=np.ones((2, p), np.float32), variants=table)
    values = np.tile(np.arange(1.0, p + 1), (2, 1))
    return sequences(2, 3, inputs=inputs, values=values, hypothetical=None, ids=np.array(["a", "b"]), rows=np.arange(2))


def test_arrays_are_as_motif_tools_read_them_and_tables_stand_twice(tmp_path: Path) -> None:
    found = sequences(warnings=("It is weak.",))
    part = Part(
        tables={"filters": pd.DataFrame({"filter": [1, 2], "nullification": [0.1, np.nan]})},
        arrays={"filters": {"frequencies_1": np.eye(4)}},
        texts={"filters.meme": "MEME version 4\n"},
        facts={"size": np.int64(3), "bad": float("nan"), "list": np.array([1.0, 2.0])},
    )
    parts = Parts(found={"filters": part}, left_out={"loci": "sequences"}, failed={"x": "Traceback\nValueError: no"})
    files = write_explanation(found, tmp_path / "explain", verdict="Better.", seed=3, parts=parts, extra={"a": 1})
    assert {path.name for path in files} == {path.name for path in (tmp_path / "explain").iterdir()}
    with np.load(tmp_path / "explain" / "attributions.npz", allow_pickle=False) as stored:
        np.testing.assert_allclose(stored["values"].transpose(0, 2, 1), found.values, atol=1e-6)
        assert stored["one_hot"].shape == (6, 4, 9)
        assert stored["deltas"].shape == (6, 4)
    with np.load(tmp_path / "explain" / "modisco_one_hot.npz") as stored:
        np.testing.assert_array_equal(stored["arr_0"].transpose(0, 2, 1), one_hot(found.inputs.values))
    with np.load(tmp_path / "explain" / "modisco_hypothetical.npz") as stored:
        assert stored["arr_0"].shape == (6, 4, 9)
    manifest = json.loads((tmp_path / "explain" / "manifest.json").read_text())
    assert list(manifest)[:2] == ["verdict", "warnings"]
    assert manifest["warnings"] == ["It is weak."]
    assert manifest["parts"] == {
        "filters": {"size": 3, "bad": None, "list": [1.0, 2.0]},
        "loci": {"not_applicable": "sequences"},
        "x": {"failed": "ValueError: no"},
    }
    assert manifest["a"] == 1
    for name in ("importance", "filters"):
        twice = [
            pd.read_csv(tmp_path / "explain" / f"{name}.csv"),
            pd.read_parquet(tmp_path / f"explain/{name}.parquet"),
        ]
        pd.testing.assert_frame_equal(*twice, check_dtype=False)
    assert "ValueError" in (tmp_path / "explain" / "failed_x.txt").read_text()


def test_a_new_explanation_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "explain"
    folder.mkdir()
    (folder / "stale.csv").write_text("a\n1\n")
    write_explanation(sequences(), folder, verdict="Better.")
    assert not (folder / "stale.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["explain"]


def test_what_cannot_be_written_leaves_the_old_explanation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "explain"
    write_explanation(sequences(), folder, verdict="Better.")
    before = (folder / "manifest.json").read_text()
    written = Path.write_bytes

    def full(self: Path, content: bytes) -> int:
        if self.name == "manifest.json":
            raise OSError(28, "No space left on device")
        return written(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        write_explanation(sequences(), folder, verdict="Worse.")
    assert (folder / "manifest.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["explain"]


def test_bedgraph_of_variants_is_in_genome_order_and_leaves_out_what_has_no_place() -> None:
    text = bedgraph(variants([500, 20, -1], ["10", "2", ""]))
    assert text is not None
    assert text.splitlines()[1:] == ["2\t19\t20\t2", "10\t499\t500\t1"]


def test_bedgraph_of_intervals_reads_the_minus_strand_backwards_and_averages_overlaps() -> None:
    inputs = Inputs(kind="sequence", values=np.array([[1, 1, 1], [1, 1, 0]], np.uint8))
    found = sequences(2, 3, inputs=inputs, values=at_bases(np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 0.0]]), inputs))
    places = pd.DataFrame({"chromosome": ["1", "1"], "start": [5, 7], "end": [8, 9], "strand": ["-", "+"]})
    text = bedgraph(found, places)
    assert text is not None
    assert text.splitlines()[1:] == ["1\t5\t6\t3", "1\t6\t7\t2", "1\t7\t8\t5.5", "1\t8\t9\t20"]
    assert bedgraph(found, places[["chromosome"]]) is None
    assert bedgraph(found) is None
