import ast
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from automl_pheno.errors import SpaceError
from automl_pheno.space import json_schema, load_space, parameters, parse_space
from automl_pheno.space.document import Problems, parse_document
from automl_pheno.space.reference import with_field_tables

ROOT = Path(__file__).parents[2]
SPACES = sorted((ROOT / "search_spaces").glob("*.yaml"))
DOCUMENT = ROOT / "docs" / "search-spaces.md"


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def plain(path):
    return parse_document(path.read_text(), Problems(str(path))).plain()


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_the_schema_accepts_the_shipped_spaces_short_and_written_out(validator, path):
    validator.validate(plain(path))
    validator.validate(load_space(path).tree())


def test_the_schema_accepts_a_searched_coding(validator):
    space = plain(ROOT / "search_spaces" / "cnn_genotype.yaml")
    validator.validate({**space, "coding": {"values": ["additive", "one_hot"], "when": {"fit.loss": "mse"}}})


def test_the_schema_accepts_a_searched_precision(validator):
    space = plain(ROOT / "search_spaces" / "cnn.yaml")
    space["fit"]["precision"] = {"values": ["float32", "mixed_bfloat16"]}
    validator.validate(space)
    assert "fit.precision" in [parameter.name for parameter in parameters(parse_space(yaml.safe_dump(space)))]


@pytest.mark.parametrize(
    ("at", "key", "value"),
    [
        ((), "trunks", []),
        (("trunk", 0), "kernal_size", 3),
        (("trunk", 0), "kernel_size", 0),
        (("trunk", 0), "kernel_size", {"min": 3, "max": 9, "stepp": 2}),
        (("trunk", 0), "kernel_size", {"min": 3}),
        (("trunk", 0), "activation", "realu"),
        (("trunk", 0), "activation", {"values": ["realu"]}),
        (("trunk", 0), "dropout", {"min": 0.0, "max": 1.0}),
        (("trunk", 0), "block", "dense"),
        (("trunk", 0), "per_layer", ["kernal_size"]),
        (("fit",), "learning_rate", "fast"),
        (("fit",), "precision", "float16"),
        (("fit",), "precision", {"values": ["float32", "bfloat16"]}),
        (("fit",), "l2", {"values": [0.1], "when": {}}),
        ((), "schema", 2),
        ((), "coding", "onehot"),
        ((), "coding", {"min": 1, "max": 3}),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(validator, at, key, value):
    space = plain(ROOT / "search_spaces" / "cnn.yaml")
    place = space
    for step in at:
        place = place[step]
    place[key] = value
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(space)
    with pytest.raises(SpaceError):
        parse_space(yaml.safe_dump(space))


def test_the_field_tables_of_the_documentation_are_up_to_date():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert with_field_tables(text) == text


def test_a_document_without_marks_is_refused():
    with pytest.raises(SpaceError, match="must hold the lines"):
        with_field_tables("# nothing\n")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_yaml_of_the_documentation_loads(validator):
    assert blocks("yaml")
    for text in blocks("yaml"):
        parse_space(text, "docs/search-spaces.md")
        validator.validate(parse_document(text, Problems("docs")).plain())


def test_the_python_of_the_documentation_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    for text in blocks("python"):
        if "keras_tuner.Hyper" in text:  # KerasTuner imports TensorFlow; test_space_suggest.py runs it
            ast.parse(text)
            continue
        exec(compile(text, str(DOCUMENT), "exec"), {})
    assert int(capsys.readouterr().out) > 0
