from pathlib import Path

import pytest
import yaml

from automl_pheno.errors import SpaceError
from automl_pheno.space import (
    Choice,
    FloatRange,
    IntRange,
    count_configurations,
    default_values,
    load_space,
    parameters,
    parse_space,
    sample,
)

SPACES = Path(__file__).parents[2] / "search_spaces"
BASE = """\
schema: 1
name: t
trunk:
  - block: conv
    filters: {values: [16, 32]}
    kernel_size: {min: 3, max: 9, step: 2}
    pooling: {values: [none, max]}
    pool_size: {values: [2, 4], when: {pooling: max}}
  - block: flatten
head:
  - block: dense
    units: 8
fit:
  optimizer: {values: [adam, sgd]}
  learning_rate: {min: 1e-4, max: 1e-2, log: true}
"""
KERNEL = "kernel_size: {min: 3, max: 9, step: 2}"
POOL = "when: {pooling: max}"
FLAT = "  - block: flatten\n"

# (what is replaced in BASE, by what, line, path, part of the message)
MALFORMED = [
    ("name: t", "coding: one_hot", 2, "coding", "is about genotypes; leave it out for input: sequence"),
    ("name: t", "input: genotype\ncoding: onehot", 3, "coding", "did you mean 'one_hot'?"),
    ("name: t", "input: genotype\ncoding: {min: 1, max: 2}", 3, "coding", "takes values, not min and max"),
    ("name: t", "input: genotype\ncodings: one_hot", 3, "codings", "did you mean 'coding'?"),
    (POOL, "when: {coding: one_hot}", 8, "trunk.0.pool_size", "unknown path 'coding'"),
    (KERNEL, "kernel_size: {min: 3, max: 9, step: 0}", 6, "trunk.0.kernel_size", "step must be > 0, got 0"),
    (KERNEL, "kernel_size:\n      min: 3\n      max: 9\n      step: -1", 9, "trunk.0.kernel_size", "step must be > 0"),
    (KERNEL, "kernal_size: 3", 6, "trunk.0.kernal_size", "did you mean 'kernel_size'?"),
    (KERNEL, "kernel_size: {mim: 3, max: 9}", 6, "trunk.0.kernel_size", "did you mean 'min'?"),
    (KERNEL, "kernel_size: {min: 9, max: 3}", 6, "trunk.0.kernel_size", "max must be > min (9), got 3"),
    (KERNEL, "kernel_size: {min: 3, max: 10, step: 2}", 6, "trunk.0.kernel_size", "the last value is 9"),
    (KERNEL, "kernel_size: {min: 3.5, max: 9}", 6, "trunk.0.kernel_size", "min must be a whole number, got 3.5"),
    (KERNEL, "kernel_size: {min: 0, max: 9}", 6, "trunk.0.kernel_size", "min must be >= 1, got 0"),
    (KERNEL, "kernel_size: {min: 3, max: 2000}", 6, "trunk.0.kernel_size", "max must be <= 1001, got 2000"),
    (KERNEL, "kernel_size: {min: 1, max: 8, step: 1, log: true}", 6, "trunk.0.kernel_size", "step and log exclude"),
    (KERNEL, "kernel_size: {min: 3}", 6, "trunk.0.kernel_size", "max is missing"),
    (KERNEL, "kernel_size: {values: [3], max: 9}", 6, "trunk.0.kernel_size", "either values, or min and max"),
    (KERNEL, "kernel_size: {}", 6, "trunk.0.kernel_size", "a range needs values, or min and max"),
    (KERNEL, "kernel_size: [3, 5]", 6, "trunk.0.kernel_size", "to search write {values: [3, 5]}"),
    (KERNEL, "kernel_size:", 6, "trunk.0.kernel_size", "has no value"),
    (KERNEL, "kernel_size: '3'", 6, "trunk.0.kernel_size", "must be a whole number, got '3'"),
    (KERNEL, "kernel_size: {min: 3, max: 9, default: 11}", 6, "trunk.0.kernel_size", "default must be 3 to 9, got 11"),
    (KERNEL, "kernel_size: {min: 3, max: 9, step: 2, default: 4}", 6, "trunk.0.kernel_size", "whole steps of 2, got 4"),
    (KERNEL, "kernel_size: {values: [3, 3]}", 6, "trunk.0.kernel_size", "values must differ, got 3 twice"),
    (KERNEL, "kernel_size: {values: []}", 6, "trunk.0.kernel_size", "values must not be empty"),
    (KERNEL, "kernel_size: {values: 3}", 6, "trunk.0.kernel_size", "values must be a list, got 3"),
    (KERNEL, "kernel_size: {values: [3, [5]]}", 6, "trunk.0.kernel_size", "values must hold single values, got [5]"),
    (KERNEL, "kernel_size: {values: [3, 0]}", 6, "trunk.0.kernel_size", "values: must be >= 1, got 0"),
    (KERNEL, "kernel_size: {distribution: q_uniform, min: 3, max: 9}", 6, "trunk.0.kernel_size", "W&B's distribution"),
    (KERNEL, "kernel_size: {value: 3}", 6, "trunk.0.kernel_size", "write the value itself"),
    (KERNEL, "kernel_size: {low: 3, high: 9}", 6, "trunk.0.kernel_size", "write min (Optuna's low)"),
    (KERNEL, "kernel_size: 3\n    kernel_size: 5", 7, "trunk.0.kernel_size", "stands twice, first on line 6"),
    (KERNEL, "dropout: {min: 0, max: 1.2}", 6, "trunk.0.dropout", "max must be < 1, got 1.2"),
    (KERNEL, "dropout: 1", 6, "trunk.0.dropout", "must be < 1, got 1"),
    (KERNEL, "dropout: {min: 0.0, max: 0.1, log: true}", 6, "trunk.0.dropout", "min must be > 0 with log, got 0.0"),
    (KERNEL, "activation: realu", 6, "trunk.0.activation", "did you mean 'relu'?"),
    (KERNEL, "activation: {values: [relu, glu]}", 6, "trunk.0.activation", "did you mean 'gelu'?"),
    (KERNEL, "activation: {min: 1, max: 2}", 6, "trunk.0.activation", "takes values, not min and max"),
    (KERNEL, "activation: {values: [relu, null]}", 6, "trunk.0.activation", "must not hold nothing"),
    (KERNEL, "activation: {values: [relu, 3]}", 6, "trunk.0.activation", "values must be of one type"),
    (KERNEL, "repeat: {min: 1, max: 3}\n    per_layer: [filtres]", 7, "trunk.0.per_layer", "did you mean 'filters'?"),
    (KERNEL, "per_layer: [filters]", 6, "trunk.0.per_layer", "needs repeat"),
    (KERNEL, "repeat: 2\n    kernel_size: 3\n    per_layer: [kernel_size]", 8, "trunk.0.per_layer", "not a range"),
    (KERNEL, "repeat: 2\n    per_layer: [pooling]", 9, "trunk.0.pool_size", "list pool_size in per_layer as well"),
    (KERNEL, "repeat: 0", 6, "trunk.0.repeat", "must be >= 1, got 0"),
    (KERNEL, "repeat: {min: 1, max: 101}", 6, "trunk.0.repeat", "max must be <= 100, got 101"),
    (KERNEL, f"repeat: {{min: 1, max: 3, {POOL}}}", 6, "trunk.0.repeat", "cannot have a condition"),
    (KERNEL, "stride: 2\n    dilation: 2", 4, "trunk.0", "dilation > 1 needs stride 1"),
    (POOL, "when: {poling: max}", 8, "trunk.0.pool_size", "did you mean 'trunk.0.pooling'?"),
    (POOL, "when: {pooling: average}", 8, "trunk.0.pool_size", "never true, trunk.0.pooling must be one of"),
    (POOL, "when: {pool_size: 2}", 8, "trunk.0.pool_size", "must not refer to the leaf itself"),
    (POOL, "when: {fit.optimizer: rmsprop}", 8, "trunk.0.pool_size", "never true, fit.optimizer must be one of"),
    (POOL, "when: {trunk.4.pooling: max}", 8, "trunk.0.pool_size", "paths begin with fit, head.0, trunk.0, trunk.1"),
    (POOL, "when: {activation: gelu}", 8, "trunk.0.pool_size", "trunk.0.activation is always 'relu'"),
    (POOL, "when: {kernel_size: 4}", 8, "trunk.0.pool_size", "must be 3 to 9 in steps of 2, got 4"),
    (POOL, "when: pooling", 8, "trunk.0.pool_size", "when must be a mapping"),
    ("[none, max]}", "[none, max], when: {pool_size: 2}}", 7, "trunk.0.pooling", "a circle, trunk.0.pooling -> "),
    (FLAT, "", 4, "trunk.0", "must end in flatten, got conv"),
    (FLAT, FLAT + "  - block: conv\n", 10, "trunk.2", "conv cannot follow flatten"),
    (FLAT, FLAT + "  - block: gate\n", 10, "trunk.2", "gate cannot follow flatten"),
    (FLAT, "  - block: flaten\n", 9, "trunk.1.block", "did you mean 'flatten'?"),
    (FLAT, "  - block: dense\n", 9, "trunk.1.block", "stands in the head, not in the trunk"),
    (FLAT, "  - block: {values: [flatten, gate]}\n", 9, "trunk.1.block", "written out, not a range"),
    (FLAT, "  - filters: 3\n", 9, "trunk.1", "block is missing"),
    (FLAT, "  - flatten\n", 9, "trunk.1", "must be a mapping (key: value), got 'flatten'"),
    (FLAT, FLAT + "    repeat: 2\n", 10, "trunk.1.repeat", "flatten cannot repeat"),
    ("schema: 1", "schema: 2", 1, "schema", "this version reads schema 1, got 2"),
    ("name: t", "name: 5", 2, "name", "must be text, got 5"),
    ("name: t", "nam: t", 2, "nam", "did you mean 'name'?"),
    ("name: t", "input: sequenz", 2, "input", "did you mean 'sequence'?"),
    ("name: t", "parameters: {}", 2, "parameters", "nest the leaves under trunk, head and fit"),
    ("fit:\n", "fit:\n  nesterov: on\n", 14, "fit.nesterov", "must be true or false, got 'on'"),
    ("fit:\n", "fit:\n  nesterov: {values: [yes, no]}\n", 14, "fit.nesterov", "must be true or false, got 'yes'"),
    ("fit:\n", "fit:\n  patience: 010\n", 14, "fit.patience", "must be a whole number, got '010'"),
    ("fit:\n", "fit:\n  l2: .inf\n", 14, "fit.l2", "must be finite, got inf"),
    ("fit:\n", "fit:\n  l2: !!float 1\n", 14, "fit.l2", "tags are not understood"),
    ("fit:\n", "fit:\n  l1: [&a [*a]]\n", 14, "fit.l1.0.0", "an alias must not contain itself"),
    ("fit:\n", "fit: 3\nx:\n", 13, "fit", "must be a mapping (key: value), got 3"),
    ("trunk:\n", "trunk: {}\nx:\n", 3, "trunk", "must be a list of blocks"),
]


@pytest.mark.parametrize(("old", "new", "line", "path", "message"), MALFORMED)
def test_a_malformed_space_names_file_line_and_path(old, new, line, path, message):
    assert old in BASE
    with pytest.raises(SpaceError) as caught:
        parse_space(BASE.replace(old, new, 1), "space.yaml")
    found = str(caught.value).splitlines()
    begin = f"space.yaml:{line}: {path}: "
    assert any(text.startswith(begin) and message in text for text in found), found


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file is empty"),
        ("# only a comment\n", 1, "the file is empty"),
        ("- a\n", 1, "must be a mapping"),
        ("a: [\n", 2, "not YAML"),
        ("schema: 1\nname: t\n", 1, "trunk: is missing"),
        (BASE.replace("    kernel", "\tkernel"), 6, "a tab; indent with spaces"),
        (BASE.replace("fit:\n", "---\nfit:\n"), 13, "one file holds one document"),
        (BASE.replace("name: t", "name: \x07"), 2, "a control character"),
        (BASE.replace("name: t", "? [a]\n: 1"), 2, "a key must be a word"),
    ],
)
def test_what_is_no_space_at_all_is_refused_with_its_line(text, line, message):
    with pytest.raises(SpaceError) as caught:
        parse_space(text, "space.yaml")
    assert str(caught.value).splitlines()[0].startswith(f"space.yaml:{line}: ")
    assert message in str(caught.value)


def test_exponential_aliases_are_refused():
    text = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    with pytest.raises(SpaceError, match="is an anchor repeated too often"):
        parse_space(text)


def test_all_problems_come_at_once_in_the_order_of_the_file():
    text = (
        BASE.replace("step: 2", "step: 0")
        .replace("units: 8", "unit: 8")
        .replace("filters: {values: [16, 32]}", "filters: 0")
    )
    with pytest.raises(SpaceError) as caught:
        parse_space(text, "space.yaml")
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["space.yaml:5", "trunk.0.filters"],
        ["space.yaml:6", "trunk.0.kernel_size"],
        ["space.yaml:12", "head.0.unit"],
    ]


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "cnn.yaml").write_text(BASE)
    with pytest.raises(SpaceError, match=r"no such file; known: cnn.yaml; did you mean 'cnn.yaml'\?"):
        load_space(tmp_path / "cn.yaml")
    with pytest.raises(SpaceError, match="cannot be read: Is a directory"):
        load_space(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"schema: 1\nname: gr\xfcn\n")
    with pytest.raises(SpaceError, match=r"latin.yaml:2: the file must be UTF-8, got the byte 0xfc"):
        load_space(tmp_path / "latin.yaml")


def test_the_grammar_is_read_as_written():
    space = parse_space(BASE, "space.yaml")
    leaves = space.trunk[0].leaves
    assert leaves["filters"] == Choice(values=[16, 32])
    assert leaves["kernel_size"] == IntRange(min=3, max=9, step=2)
    assert leaves["pool_size"] == Choice(values=[2, 4], when={"trunk.0.pooling": "max"})
    assert space.fit["learning_rate"] == FloatRange(min=1e-4, max=1e-2, log=True)
    assert space.head[0].leaves == {"units": 8}
    assert (space.name, space.input) == ("t", "sequence")


def test_yaml_1_2_numbers_and_words():
    text = BASE.replace("fit:\n", "fit:\n  l2: 1e-5\n  l1: +.5\n  nesterov: true\n")
    fit = parse_space(text).fit
    assert (fit["l2"], fit["l1"], fit["nesterov"]) == (1e-5, 0.5, True)
    assert yaml.safe_load("1e-5") == "1e-5"  # why the file is not read with PyYAML's own rules


def test_whole_numbers_serve_where_numbers_are_taken():
    text = BASE.replace("units: 8", "dropout: {values: [0, 0.5], default: 0}")
    leaf = parse_space(text).head[0].leaves["dropout"]
    assert leaf.values == (0.0, 0.5)
    assert all(type(value) is float for value in (*leaf.values, leaf.default))


def test_anchors_and_merge_keys_work():
    text = """\
trunk:
  - &conv
    block: conv
    filters: &f {values: [8, 16]}
  - <<: *conv
    kernel_size: 3
  - block: flatten
head:
  - block: dense
    units: *f
"""
    space = parse_space(text, "dir/mine.yaml")
    assert space.name == "mine"
    assert [p.name for p in parameters(space)] == ["trunk.0.filters", "trunk.1.filters", "head.0.units"]
    assert space.trunk[1].leaves["kernel_size"] == 3


def test_a_space_without_ranges_is_one_configuration():
    space = parse_space("trunk:\n  - block: flatten\n")
    assert parameters(space) == ()
    assert default_values(space) == {}
    assert sample(space, lambda name, limits: pytest.fail(f"asked for {name}")).trunk[0].block == "flatten"


@pytest.mark.parametrize("path", sorted(SPACES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_spaces_load_and_their_tree_is_the_same_space(path):
    space = load_space(path)
    again = parse_space(yaml.safe_dump(space.tree(), sort_keys=False))
    assert space.name == path.stem
    assert again.tree() == space.tree()
    assert {p.name: p for p in parameters(again)} == {p.name: p for p in parameters(space)}


def test_the_spaces_that_the_documentation_names_exist():
    assert {path.stem for path in SPACES.glob("*.yaml")} >= {"cnn", "cnn_aligned", "cnn_genotype", "cnn_small", "mlp"}


GENOTYPES = """\
input: genotype
coding: {values: [additive, dominance, one_hot], default: dominance}
trunk:
  - block: conv
    filters: {values: [2, 4], when: {coding: one_hot}}
  - block: flatten
head:
  - block: dense
    units: {min: 2, max: 4, when: {coding: [additive, dominance]}}
"""


def test_the_coding_of_genotypes_is_searched_and_leaves_may_depend_on_it():
    space = parse_space(GENOTYPES)
    assert [parameter.name for parameter in parameters(space)] == ["coding", "trunk.0.filters", "head.0.units"]
    assert default_values(space) == {"coding": "dominance", "head.0.units": 3}
    config = sample(space, lambda name, limits: {"coding": "one_hot"}.get(name, limits.middle()))
    assert (config.coding, config.trunk[0].filters, config.head[0].units) == ("one_hot", 2, 64)
    assert count_configurations(space) == 2 * 3 + 2
    again = parse_space(yaml.safe_dump(space.tree()))
    assert again.tree() == space.tree()
    fixed = parse_space("input: genotype\ncoding: one_hot\ntrunk:\n  - block: flatten\n")
    assert sample(fixed, lambda name, limits: limits.middle()).coding == "one_hot"


def test_a_condition_on_a_fixed_coding_that_never_holds_is_refused():
    with pytest.raises(SpaceError, match="never true, coding is always 'additive'"):
        parse_space(GENOTYPES.replace("coding: {values: [additive, dominance, one_hot], default: dominance}\n", ""))
