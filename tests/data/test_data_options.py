"""What the user says about reading is one value, the same from command line, study file and Python."""

from __future__ import annotations

import inspect
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import yaml

import automl_pheno as ap
from automl_pheno.cli.app import main
from automl_pheno.cli.options import _READING
from automl_pheno.data import READING_WORDS, Missing, Reading, read_dataset
from automl_pheno.errors import DataError, StudyError
from automl_pheno.study.config import DataConfig, load_study


def test_every_word_is_in_the_study_file_the_function_and_the_command() -> None:
    words = set(READING_WORDS)
    assert words < set(DataConfig.model_fields)
    assert words < set(inspect.signature(ap.read).parameters)
    assert words - {"format"} == set(_READING)
    assert all(item.metadata["help"] for item in fields(Reading))


@pytest.mark.parametrize(
    ("said", "missing", "values"),
    [
        ("-9,-", ["-9", "-9.0", "-9.000", "-9e0", "-", "NA", ""], ["9", "-99", "8"]),
        (-9, ["-9", "-9.0"], ["-"]),
        (["-9", "-"], ["-9", "-"], ["9"]),
        (["-99,x", "y"], ["-99", "x", "y"], ["-9"]),
        ("value:NA", ["nan", ""], ["NA"]),
        ((), ["NA", ".", ""], ["-9", "-"]),
    ],
)
def test_missing_is_said_in_several_ways(said, missing, values) -> None:
    made = Missing.of(said)
    assert all(cell in made for cell in missing)
    assert not any(cell in made for cell in values)


@pytest.mark.parametrize(("said", "rule"), [({"a": 1}, "must be cells"), ("-9,value:-9", "and to be a value")])
def test_what_is_no_list_of_cells_is_refused(said, rule) -> None:
    with pytest.raises(DataError, match=rule):
        Missing.of(said)


def test_a_study_file_keeps_its_words(tmp_path) -> None:
    study = tmp_path / "s.yaml"
    text = "space: cnn.yaml\ndata: {file: a.csv, trait_table: t.csv, missing: [-9, '-'], multiallelic: skip}\n"
    study.write_text(text)
    config = load_study(study)
    assert config.data is not None
    reading = config.data.reading()
    assert reading.trait_table == tmp_path / "t.csv"
    assert reading.multiallelic == "skip"
    assert "-9.0" in reading.missing
    again = yaml.safe_load(config.to_yaml())["data"]
    assert again["missing"] == ["-9", "-"]
    assert DataConfig(**again).reading() == reading
    study.write_text("space: cnn.yaml\ndata: {file: a.csv, missing: {a: 1}}\n")
    with pytest.raises(StudyError, match=r"s.yaml:2: data.missing: missing must be cells"):
        load_study(study)


@pytest.fixture
def traits(tmp_path):
    rng = np.random.default_rng(0)
    letters = np.array(list("ACGT"))
    made = pd.DataFrame(
        {
            "id": [f"s{row}" for row in range(40)],
            "sequence": ["".join(letters[rng.integers(0, 4, 30)]) for _ in range(40)],
            "y": [f"{value:.2f}" for value in rng.normal(5, 1, 40)],
        }
    )
    made.loc[:2, "y"] = ["-9", "-9.0", "-"]
    path = tmp_path / "d.csv"
    made.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("words", [["--missing", "-9,-"], ["--missing=-9,-"], ["--missing", "-9", "--missing", "-"]])
def test_the_command_takes_cells_that_begin_with_a_dash(traits, tmp_path, capsys, words) -> None:
    assert main(["split", "--data", str(traits), *words, "-o", str(tmp_path / "out")]) == 0
    assert "y: 37 of 40 samples have a value, 3 are missing" in capsys.readouterr().out


def test_python_takes_the_same_words(traits) -> None:
    assert ap.read(traits, missing="-9,-").traits["y"].isna().sum() == 3
    assert read_dataset(traits, Reading.of(missing=["-9", "-"])).traits["y"].isna().sum() == 3
    with pytest.raises(TypeError, match="missin"):
        ap.read(traits, missin="-9")
