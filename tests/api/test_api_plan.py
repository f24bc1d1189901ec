"""What options of a search become of its split."""

from pathlib import Path

import pytest

from automl_pheno.api.plan import plan_search
from automl_pheno.errors import StudyError


@pytest.mark.parametrize(
    ("options", "method", "folds", "repeats", "validation"),
    [
        ({}, "auto", 5, None, 0.15),
        ({"folds": 4}, "kfold", 4, None, 0.15),
        ({"repeats": 2}, "kfold", 5, 2, 0.15),
        ({"folds": 4, "repeats": 2}, "kfold", 4, 2, 0.15),
        ({"validation": 0.2}, "holdout", 5, None, 0.2),
    ],
)
def test_options_say_how_candidates_are_chosen(options, method, folds, repeats, validation):
    split = plan_search(space=Path("space.yaml"), **options).config.split
    assert (split.method, split.folds, split.repeats, split.validation) == (method, folds, repeats, validation)


def test_an_option_wins_over_the_study_file(tmp_path):
    (tmp_path / "study.yaml").write_text("space: a.yaml\nsplit: {method: kfold, folds: 7, repeats: 3}\n")
    assert plan_search(study=tmp_path / "study.yaml").config.split.repeats == 3
    split = plan_search(study=tmp_path / "study.yaml", validation=0.2).config.split
    assert (split.method, split.repeats) == ("holdout", None)


def test_folds_and_one_validation_set_are_not_asked_for_together():
    with pytest.raises(StudyError, match="folds asks for K folds and validation for one validation set"):
        plan_search(space=Path("space.yaml"), folds=5, validation=0.2)
