"""Study files: defaults, overrides, and errors that say where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from automl_pheno.errors import StudyError
from automl_pheno.study.config import StudyConfig, is_study, load_study, make_study, parse_duration


def write(folder, text):
    path = folder / "wheat.yaml"
    path.write_text(text)
    return path


def test_defaults_and_paths_relative_to_the_file(tmp_path):
    study = load_study(write(tmp_path, "space: spaces/cnn.yaml\ndata: {file: a.csv, trait: yield}\n"))
    assert study.name == "wheat"
    assert study.space == tmp_path / "spaces/cnn.yaml"
    assert study.data.file == tmp_path / "a.csv"
    assert (study.trials, study.metric, study.engine, study.pruner) == (30, "pearson_r", "optuna/tpe", "median")
    assert (study.finalists, study.workers, study.backend, study.split.method) == (
        "auto",
        "auto",
        "tensorflow",
        "holdout",
    )


def test_resolved_yaml_holds_every_field_and_loads_to_the_same(tmp_path):
    study = load_study(write(tmp_path, "space: cnn.yaml\ntime_limit: 1h30m\nengine: gp\nbaselines: [ridge, mean]\n"))
    plain = yaml.safe_load(study.to_yaml())
    assert set(plain) == {field.alias or name for name, field in StudyConfig.model_fields.items()}
    assert StudyConfig.model_validate(plain) == study
    assert (study.time_limit, study.engine) == (5400.0, "optuna/gp")


def test_overrides_win_and_data_are_merged(tmp_path):
    path = write(tmp_path, "space: cnn.yaml\ntrials: 5\ndata: {file: a.csv, trait: yield}\n")
    study = load_study(path, {"trials": 9, "data": {"trait": "height"}})
    assert (study.trials, study.data.trait, study.data.file) == (9, "height", tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("30m", 1800.0), ("2h", 7200.0), ("1h 30m", 5400.0), ("1.5h", 5400.0), ("1d", 86400)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "30x", "m30", "1h banana", "-5m"])
def test_no_durations(text):
    with pytest.raises(ValueError, match="a duration is"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trials: 3\n", "space: is missing"),
        ("space: a.yaml\ntrails: 3\n", "wheat.yaml:2: trails: unknown key 'trails'; .*did you mean 'trials'"),
        ("space: a.yaml\ndata: {file: x, trat: y}\n", "wheat.yaml:2: data.trat: unknown key .*did you mean 'trait'"),
        ("space: a.yaml\nsplit:\n  tset: 0.2\n", "wheat.yaml:3: split.tset: unknown key .*did you mean 'test'"),
        (
            "space: a.yaml\nmetric: pearson\n",
            "wheat.yaml:2: metric: unknown metric .*did you mean 'pearson_r'",
        ),
        ("space: a.yaml\nengine: optuna/tpp\n", "unknown engine 'optuna/tpp'.*did you mean 'optuna/tpe'"),
        ("space: a.yaml\npruner: medain\n", "unknown pruner 'medain'.*did you mean 'median'"),
        ("space: a.yaml\nbaselines: [rigde]\n", "unknown baseline 'rigde'.*did you mean 'ridge'"),
        ("space: a.yaml\nbaselines: [ridge, ridge]\n", "each baseline stands once"),
        ("space: a.yaml\ntrials: -1\n", "wheat.yaml:2: trials: .*greater than or equal to 0, got -1"),
        ("space: a.yaml\ntrials: many\n", "wheat.yaml:2: trials: .*got 'many'"),
        ("space: a.yaml\ntime_limit: soon\n", "wheat.yaml:2: time_limit: a duration is"),
        ("space: a.yaml\ntime_limit: 0\n", "wheat.yaml:2: time_limit: .*greater than 0"),
        ("space: a.yaml\nfinalists: 0\n", "wheat.yaml:2: finalists: must be auto or a number from 1 to 100, got 0"),
        ("space: a.yaml\nfinalists: true\n", "wheat.yaml:2: finalists: must be auto or a number from 1 to 100"),
        ("space: a.yaml\nworkers: some\n", "wheat.yaml:2: workers: must be auto or a number from 0 to 1024"),
        ("space: a.yaml\nname: a/b\n", "wheat.yaml:2: name: must be letters"),
        ("space: a.yaml\npruner: wilcoxon\n", "needs a split with K folds"),
        ("space: a.yaml\nspace: b.yaml\n", "wheat.yaml:2: space: the key stands twice"),
        ("space: [\n", "wheat.yaml:2: not YAML"),
        ("- a\n", "wheat.yaml:1: a study must be a mapping"),
        ("", "wheat.yaml:1: the file is empty"),
    ],
)
def test_errors_say_where_and_guess(tmp_path, text, message):
    with pytest.raises(StudyError, match=message):
        load_study(write(tmp_path, text))


def test_errors_without_a_file():
    with pytest.raises(StudyError, match=r"^metric: unknown metric"):
        make_study(space="a.yaml", metric="r")
    with pytest.raises(StudyError, match="nothing to do"):
        make_study(space="a.yaml", trials=0, baselines=())


def test_no_file(tmp_path):
    with pytest.raises(StudyError, match=r"no\.yaml: cannot be read: No such file"):
        load_study(tmp_path / "no.yaml")


def test_studies_and_spaces_are_told_apart(repository, tmp_path):
    assert is_study(write(tmp_path, "space: cnn.yaml\n"))
    assert not is_study(repository / "search_spaces" / "cnn.yaml")
    assert not is_study(tmp_path / "nothing.yaml")


def test_loading_a_study_loads_neither_keras_nor_optuna_nor_dask(tmp_path):
    path = write(tmp_path, "space: cnn.yaml\nengine: tpe\n")
    code = (
        "import sys; from automl_pheno.study.config import load_study; load_study(sys.argv[1]);"
        "print([m for m in ('keras', 'tensorflow', 'optuna', 'distributed', 'dask', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert Path(path).exists()
