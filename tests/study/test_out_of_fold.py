"""Held-out predictions: packed, kept before the record, read again or missed without harm."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from automl_pheno.errors import OutputError
from automl_pheno.study.out_of_fold import file_name, pack, read_predictions, unpack, write_predictions


@given(arrays(np.float64, st.integers(0, 40), elements=st.floats(allow_nan=True, allow_infinity=False)))
def test_what_is_packed_comes_back_to_the_last_bit_through_json(predictions):
    again = unpack(json.loads(json.dumps(pack(predictions))))
    np.testing.assert_array_equal(again, predictions)
    assert again.dtype == np.float64


def test_what_was_never_validated_on_costs_next_to_nothing():
    predictions = np.full(100_000, np.nan)
    predictions[:1000] = np.random.default_rng(0).normal(size=1000)
    assert len(json.dumps(pack(predictions))) < 8 * 1000 * 1.34 + 100_000 / 8 * 1.34 + 100


def test_predictions_are_kept_and_found_again(tmp_path):
    predictions = np.array([0.5, np.nan, -2.0])
    write_predictions(tmp_path, "my space-3", predictions)
    assert [path.name for path in tmp_path.rglob("*.npy")] == ["my-space-3.npy"]
    np.testing.assert_array_equal(read_predictions(tmp_path, "my space-3", 3), predictions)
    assert np.load(tmp_path / "out_of_fold" / "my-space-3.npy").dtype == np.float64


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array at all"])
def test_a_file_that_is_damaged_or_not_there_is_no_prediction(tmp_path, content):
    assert read_predictions(tmp_path, "cnn-1", 3) is None
    (tmp_path / "out_of_fold").mkdir()
    (tmp_path / "out_of_fold" / "cnn-1.npy").write_bytes(content)
    assert read_predictions(tmp_path, "cnn-1", 3) is None


def test_predictions_of_other_data_or_of_nothing_are_none(tmp_path):
    write_predictions(tmp_path, "cnn-1", np.zeros(4))
    assert read_predictions(tmp_path, "cnn-1", 3) is None
    write_predictions(tmp_path, "cnn-1", np.full(3, np.nan))
    assert read_predictions(tmp_path, "cnn-1", 3) is None
    np.save(tmp_path / "out_of_fold" / "cnn-1.npy", np.array([{}], dtype=object), allow_pickle=True)
    assert read_predictions(tmp_path, "cnn-1", 1) is None, "a pickle of a stranger is not opened"


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "out_of_fold").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot be written"):
        write_predictions(tmp_path, "cnn-1", np.zeros(2))


def test_names_of_candidates_lead_nowhere_else():
    assert file_name("../../etc/passwd") == "..-..-etc-passwd"
