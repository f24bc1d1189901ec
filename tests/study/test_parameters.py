"""Importance of parameters, from journals whose truth is known."""

from __future__ import annotations

from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from automl_pheno.errors import StudyError
from automl_pheno.study.parameters import parameter_importance, write_parameter_importance


def journal(folder: Path, trials: int, *, direction: str = "maximize") -> Path:
    """Write a study in which only ``fit.rate`` matters, and ``fit.momentum`` exists for one optimizer."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = folder / "journal.log"
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(path))), study_name="cnn", direction=direction,
        sampler=optuna.samplers.RandomSampler(seed=0),
    )  # fmt: skip
    for number in range(trials):
        trial = study.ask()
        rate = trial.suggest_float("fit.rate", 1e-4, 1e-2, log=True)
        trial.suggest_int("trunk.0.filters", 8, 64)
        trial.suggest_float("head.0.dropout", 0.0, 0.5)
        if trial.suggest_categorical("fit.optimizer", ["adam", "sgd"]) == "sgd":
            trial.suggest_float("fit.momentum", 0.0, 0.99)
        value = -((rate / 1e-2) ** 2) if direction == "maximize" else (rate / 1e-2) ** 2
        study.tell(trial, value)
        if number % 3 == 0:
            study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    return path


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_parameter_that_matters_comes_first_and_passes_chance(tmp_path: Path, direction: str) -> None:
    journal(tmp_path, 40, direction=direction)
    table = parameter_importance(tmp_path)
    assert table["path"].iloc[0] == "fit.rate"
    assert table["importance"].sum() == pytest.approx(1.0)
    assert table["importance"].iloc[0] > table["chance"].iloc[0]
    others = table.iloc[1:]
    assert (others["importance"] <= others["chance"]).mean() >= 0.5
    assert set(table["n_trials"]) == {40}
    present = table.set_index("path")["n_present"]
    assert present["fit.rate"] == 40
    assert 0 < present["fit.momentum"] < 40  # conditional, and judged


def test_the_file_is_the_table_and_the_journal_is_left_alone(tmp_path: Path) -> None:
    path = journal(tmp_path, 12)
    before = path.read_bytes()
    written = write_parameter_importance(tmp_path)
    assert written == tmp_path / "parameter_importance.csv"
    table = pd.read_csv(written)
    assert list(table.columns) == ["path", "importance", "method", "n_trials", "n_present", "chance"]
    pd.testing.assert_frame_equal(table, parameter_importance(tmp_path), check_dtype=False)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["journal.log", "parameter_importance.csv"]


def test_few_trials_give_nothing_and_remove_an_older_file(tmp_path: Path) -> None:
    (tmp_path / "parameter_importance.csv").write_text("old")
    assert write_parameter_importance(tmp_path) is None  # there is no journal, and none is made
    assert list(tmp_path.iterdir()) == []
    journal(tmp_path, 7)
    assert write_parameter_importance(tmp_path) is None
    assert parameter_importance(tmp_path).empty


def test_a_damaged_journal_is_said(tmp_path: Path) -> None:
    path = journal(tmp_path, 9)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{torn\n", *lines[3:]]))
    with pytest.raises(StudyError, match="damaged"):
        parameter_importance(tmp_path)
