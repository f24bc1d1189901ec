from types import SimpleNamespace

import numpy as np
import pytest
from study_data import make_dataset

from automl_pheno.data import save_dataset
from automl_pheno.predictors.calibration import Calibration
from automl_pheno.splits import Split, write_split
from automl_pheno.study import evaluate
from automl_pheno.study.run_folder import DEVELOPMENT, FINALISTS, SPLIT


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Make a run of 120 samples in 3 folds, and note what is made and fitted."""
    dataset = make_dataset()
    save_dataset(dataset, tmp_path / DEVELOPMENT)
    split = Split(ids=dataset.ids, group=np.arange(120), set=np.full(120, "train"), fold=np.arange(120) % 3)
    write_split(split, tmp_path / SPLIT)
    (tmp_path / FINALISTS).mkdir()
    made = []

    def make(candidate, metric, epochs, members, calibration):
        made.append(SimpleNamespace(epochs=epochs, members=members, calibration=calibration))

        def fit(train, validation=None, *, rng, report=None):
            made[-1].rows = len(train)
            seen = None if validation is None else Calibration.measure(
                validation.y, 2.0 * validation.y, validation.groups
            )  # fmt: skip
            return SimpleNamespace(weights=1, epochs=2, seconds=0.0, chosen={}, calibration=seen)

        return SimpleNamespace(fit=fit)

    monkeypatch.setattr(evaluate, "make_predictor", make)
    monkeypatch.setattr(evaluate, "save_predictor", lambda *args, **options: None)
    monkeypatch.setattr(evaluate, "need_backend", lambda backend: None)

    def refit(name, epochs, members):
        task = {
            "candidate": {"name": name}, "metric": "pearson_r", "seed": 1, "run": str(tmp_path), "trait": "yield",
            "data": dataset.sha256(), "backend": "tensorflow", "folder": name, "epochs": epochs, "members": members,
        }  # fmt: skip
        evaluate.refit(task, lambda step, value: False)
        return made

    return refit


def test_a_finalist_is_corrected_by_what_such_networks_predict_of_rows_they_did_not_see(run):
    *held_out, final = run("network", 4, 3)
    assert [(each.rows, each.epochs, each.members, each.calibration) for each in held_out] == [(80, 4, 3, None)] * 3
    assert (final.rows, final.epochs, final.members) == (120, 4, 3)
    assert final.calibration.slope == pytest.approx(0.5)


def test_a_baseline_is_refitted_alone(run):
    (final,) = run("gblup", None, 1)
    assert (final.rows, final.calibration) == (120, None)
