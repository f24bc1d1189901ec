"""Copies of studies between run folders and journal files, and trials of KerasTuner."""

from __future__ import annotations

import json

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from automl_pheno.cli import main
from automl_pheno.errors import StudyError
from automl_pheno.study.out_of_fold import read_predictions, write_predictions
from automl_pheno.study.records import TrialRecord, append_record, read_records
from automl_pheno.study.run_folder import RunFolder
from automl_pheno.study.storage.book import TrialBook
from automl_pheno.study.storage.copy import copy_study
from automl_pheno.study.storage.journal import open_study
from automl_pheno.study.storage.keras_tuner_trials import read_keras_tuner


@pytest.fixture
def run(tmp_path):
    """Make a run folder with three ended trials, one that was recorded but not told, one in flight, one waiting."""
    path = tmp_path / "run"
    path.mkdir()
    study = open_study(path / "journal.log", "toy", "maximize")
    study.set_user_attr("owner", "ann")
    folder = RunFolder(path, metric="pearson_r", parameters=("x",))
    book = TrialBook(study, folder, name="toy", higher_is_better=True)
    for number in range(5):
        trial = book.ask()
        trial.suggest_float("x", 0, 1)
        trial.report(number / 10, 1)
        state = "pruned" if number == 2 else "complete"
        record = TrialRecord(
            kind="network", name=f"toy-{number}", state=state, trial=number, value=number / 10,
            params=dict(trial.params),
        )  # fmt: skip
        if number < 3:
            book.close(record, trial)
        elif number == 3:
            append_record(path / "trials.jsonl", record)
    append_record(path / "trials.jsonl", TrialRecord(kind="baseline", name="ridge", state="complete", value=0.5))
    study.enqueue_trial({"x": 0.25})
    (path / "identity.json").write_text('{"seed": 1}\n')
    (path / "split.csv").write_text("id,set\n")
    return path


def load(path, name="toy"):
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    return optuna.load_study(study_name=name, storage=storage)


def test_a_run_survives_a_journal_and_becomes_a_run_that_counts_right(run, tmp_path):
    journal, again = tmp_path / "copy.log", tmp_path / "again"
    copied = copy_study(str(run), str(journal), name="second")
    assert (copied.trials, copied.records, copied.put_back) == (6, 5, 1)
    before, middle = load(run / "journal.log"), load(journal, "second")
    states = ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE", "FAIL", "WAITING", "WAITING"]
    assert [trial.state.name for trial in middle.get_trials()] == states
    assert [trial.value for trial in middle.get_trials()[:4]] == [0.0, 0.1, 0.2, 0.3]
    assert middle.user_attrs == {"owner": "ann"}
    for old, new in zip(before.get_trials()[:3], middle.get_trials(), strict=False):
        assert (new.number, new.params, new.distributions) == (old.number, old.params, old.distributions)
        assert new.intermediate_values == old.intermediate_values
        assert new.user_attrs.items() >= old.user_attrs.items()
        assert (new.datetime_start, new.datetime_complete) == (old.datetime_start, old.datetime_complete)
    assert main(["copy", str(journal), str(again), "--name", "toy"]) == 0
    assert [trial.state.name for trial in load(again / "journal.log").get_trials()] == states
    assert {r.name: r for r in read_records(again / "trials.jsonl")} == {
        r.name: r for r in read_records(run / "trials.jsonl")
    }
    assert json.loads((again / "identity.json").read_text()) == {"seed": 1}
    folder = RunFolder(again, metric="pearson_r", parameters=("x",))
    book = TrialBook(open_study(again / "journal.log", "toy", "maximize"), folder, name="toy", higher_is_better=True)
    assert book.start(killed=False) == []
    assert book.counted == 4
    queued = [book.ask().suggest_float("x", 0, 1) for _ in range(2)]
    assert queued == [0.25, before.get_trials()[4].params["x"]]


def test_held_out_predictions_go_from_folder_to_folder_and_links_do_not(run, tmp_path):
    write_predictions(run, "toy-0", np.array([0.5, np.nan]))
    (run / "out_of_fold" / "toy-1.npy").symlink_to(run / "identity.json")
    copy_study(str(run), str(tmp_path / "again"))
    assert [path.name for path in (tmp_path / "again" / "out_of_fold").iterdir()] == ["toy-0.npy"]
    np.testing.assert_array_equal(read_predictions(tmp_path / "again", "toy-0", 2), [0.5, np.nan])


def test_a_running_study_can_be_copied_and_stays_as_it_is(run, tmp_path):
    content = (run / "journal.log").read_bytes()
    copy_study(str(run), str(tmp_path / "copy.log"))
    assert (run / "journal.log").read_bytes() == content
    assert load(run / "journal.log").get_trials()[4].state == TrialState.RUNNING


def test_a_tested_run_stays_tested_in_a_copy(run, tmp_path):
    result = {"winner": {"name": "ridge"}, "finalists": [], "trials": 4}
    (run / "final.json").write_text(json.dumps(result))
    copy_study(str(run), str(tmp_path / "copy"))
    told = json.loads((tmp_path / "copy" / "tested_elsewhere.json").read_text())
    assert told["result"] == result
    assert told["folder"] == str(run)
    assert RunFolder(tmp_path / "copy", metric="pearson_r", parameters=()).tested_elsewhere == result


def test_refusals(run, tmp_path, capsys):
    with pytest.raises(StudyError, match="exists already; a copy needs a new file or folder"):
        copy_study(str(run), str(run / "journal.log"))
    with pytest.raises(StudyError, match=r"has no study 'tow'; known: toy; did you mean 'toy'\?"):
        copy_study(str(run), str(tmp_path / "x.log"), study="tow")
    with pytest.raises(StudyError, match="no such run folder, journal file or URL"):
        copy_study(str(tmp_path / "nothing"), str(tmp_path / "x.log"))
    with pytest.raises(StudyError, match=r"holds no journal.log"):
        copy_study(str(tmp_path), str(tmp_path / "x.log"))
    (run / "storage.json").write_text("{}")
    with pytest.raises(StudyError, match=r"its trials are in a database, see storage.json"):
        copy_study(str(run), str(tmp_path / "x.log"))
    assert not (tmp_path / "x.log").exists()
    assert main(["copy", str(run), "postgresq://ann:secret@host/db"]) == 2
    assert "secret" not in capsys.readouterr().err


# -- KerasTuner ----------------------------------------------------------------------------------------------------


def write_trial(folder, number, values, score, status="COMPLETED", direction="max"):
    space = [
        {"class_name": "Int", "config": {"name": "filters", "min_value": 8, "max_value": 60, "step": 16,
                                         "sampling": "linear", "conditions": []}},
        {"class_name": "Float", "config": {"name": "rate", "min_value": 1e-4, "max_value": 1e-2, "step": None,
                                           "sampling": "log", "conditions": []}},
        {"class_name": "Choice", "config": {"name": "optimizer", "values": ["adam", "sgd"], "conditions": []}},
        {"class_name": "Float", "config": {"name": "momentum", "min_value": 0.0, "max_value": 1.0, "step": 0.25,
            "sampling": "linear",
            "conditions": [{"class_name": "Parent", "config": {"name": "optimizer", "values": ["sgd"]}}]}},
        {"class_name": "Boolean", "config": {"name": "bias", "conditions": []}},
        {"class_name": "Fixed", "config": {"name": "depth", "value": 2, "conditions": []}},
    ]  # fmt: skip
    metrics = {}
    if score is not None:
        seen = [{"value": [score - 0.1], "step": 0}, {"value": [score], "step": 1}]
        metrics["val_r"] = {"direction": direction, "observations": seen}
        metrics["val_loss"] = {"direction": "min", "observations": [{"value": [9.0], "step": 0}]}
    trial = folder / f"trial_{number:04d}"
    trial.mkdir(parents=True)
    data = {
        "trial_id": f"{number:04d}", "hyperparameters": {"space": space, "values": values},
        "metrics": {"metrics": metrics}, "score": score, "best_step": 1, "status": status,
    }  # fmt: skip
    (trial / "trial.json").write_text(json.dumps(data))


VALUES = {"filters": 24, "rate": 0.001, "optimizer": "adam", "momentum": 0.5, "bias": True, "depth": 2}


def test_trials_of_keras_tuner_are_imported(tmp_path, capsys):
    folder = tmp_path / "untitled_project"
    write_trial(folder, 0, {**VALUES, "tuner/epochs": 7}, 0.25)
    write_trial(folder, 1, {**VALUES, "optimizer": "sgd"}, 0.5)
    write_trial(folder, 2, VALUES, None, status="FAILED")
    write_trial(folder, 3, VALUES, None, status="RUNNING")
    assert main(["import", str(folder), str(tmp_path / "tuned.log")]) == 0
    assert "study 'untitled_project', 3 trials, maximize val_r" in capsys.readouterr().out
    study = load(tmp_path / "tuned.log", "untitled_project")
    first, second, third = study.get_trials()
    assert study.best_trial.number == 1
    assert study.best_value == 0.5
    assert first.params == {"filters": 24, "rate": 0.001, "optimizer": "adam", "bias": True, "depth": 2}
    assert first.user_attrs == {"keras_tuner_trial": "0000", "tuner/epochs": 7}
    assert first.intermediate_values == {0: 0.15, 1: 0.25}
    assert second.params["momentum"] == 0.5
    assert third.state == TrialState.FAIL
    distributions = optuna.distributions
    assert second.distributions == {
        "filters": distributions.IntDistribution(8, 56, step=16),
        "rate": distributions.FloatDistribution(1e-4, 1e-2, log=True),
        "optimizer": distributions.CategoricalDistribution(("adam", "sgd")),
        "momentum": distributions.FloatDistribution(0.0, 1.0, step=0.25),
        "bias": distributions.CategoricalDistribution((False, True)),
        "depth": distributions.CategoricalDistribution((2,)),
    }


def test_imports_that_cannot_be(tmp_path):
    with pytest.raises(StudyError, match=r"holds no trial_\*/trial.json"):
        read_keras_tuner(tmp_path)
    write_trial(tmp_path / "deep", 0, VALUES, 0.5)
    with pytest.raises(StudyError, match=r"did you mean .*deep\?"):
        read_keras_tuner(tmp_path)
    with pytest.raises(StudyError, match=r"unknown metric 'val_q'; known: val_loss, val_r"):
        read_keras_tuner(tmp_path / "deep", "val_q")
    write_trial(tmp_path / "deep", 1, {**VALUES, "filters": 25}, 0.5)
    with pytest.raises(StudyError, match=r"trial_0001/trial.json: "):
        read_keras_tuner(tmp_path / "deep")
    (tmp_path / "deep" / "trial_0001" / "trial.json").write_text("{}")
    with pytest.raises(StudyError, match=r"trial.json: is not a trial of KerasTuner"):
        read_keras_tuner(tmp_path / "deep")
    write_trial(tmp_path / "two", 0, VALUES, 0.5)
    write_trial(tmp_path / "two", 1, VALUES, 0.5, direction="min")
    with pytest.raises(StudyError, match="must have one direction, got max, min"):
        read_keras_tuner(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:currentThread.. is deprecated:DeprecationWarning")  # in KerasTuner
@pytest.mark.filterwarnings("ignore:getName.. is deprecated:DeprecationWarning")
def test_what_keras_tuner_itself_wrote_is_read(tmp_path):
    import keras_tuner

    class Tuner(keras_tuner.RandomSearch):
        def run_trial(self, trial, **_):
            hp = trial.hyperparameters
            return {"val_r": -((hp.get("filters") - 24) ** 2) + (hp.get("momentum") if hp.get("kind") == "sgd" else 0)}

    hp = keras_tuner.HyperParameters()
    hp.Int("filters", 8, 60, step=16)
    hp.Choice("kind", ["adam", "sgd"])
    with hp.conditional_scope("kind", ["sgd"]):
        hp.Float("momentum", 0.0, 1.0, step=0.25)
    tuner = Tuner(
        hypermodel=lambda hp: None, objective=keras_tuner.Objective("val_r", "max"), max_trials=12, seed=1,
        hyperparameters=hp, tune_new_entries=False, directory=str(tmp_path), project_name="p", overwrite=True,
    )  # fmt: skip
    tuner.search()
    direction, trials, metric = read_keras_tuner(tmp_path / "p")
    assert (direction.name, metric) == ("MAXIMIZE", "val_r")
    theirs = tuner.oracle.get_best_trials(100)
    assert len(trials) == len(theirs) >= 8
    assert sorted(trial.value for trial in trials) == sorted(trial.score for trial in theirs)
    for trial in trials:
        values = next(t for t in theirs if t.trial_id == trial.user_attrs["keras_tuner_trial"]).hyperparameters.values
        assert trial.params == {key: values[key] for key in trial.params}
        assert ("momentum" in trial.params) == (values["kind"] == "sgd")
