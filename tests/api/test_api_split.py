"""A split needs no trait; what is asked of an audit and not looked at is an error."""

import json

import numpy as np
import pandas as pd
import pytest

from automl_pheno.api.audit import audit_file
from automl_pheno.api.compare import compare_split
from automl_pheno.api.split import split_data
from automl_pheno.errors import SplitError, StudyError
from automl_pheno.simulate.leaks import simulate_unrelated


def table(folder, name="data.csv", n=120, **columns):
    from automl_pheno.data import decode

    codes = simulate_unrelated(n, 60, np.random.default_rng(0)).inputs.values
    frame = pd.DataFrame({"id": [f"s{i}" for i in range(n)], "sequence": decode(codes), **columns})
    frame.to_csv(folder / name, index=False)
    return folder / name


@pytest.mark.parametrize("numbers", [{}, {"a": range(120), "b": range(120)}, {"a": [1.0] * 120}])
def test_a_split_needs_no_trait(tmp_path, numbers):
    data = table(tmp_path, **numbers)
    made = split_data(data=data, out=tmp_path / "out")
    assert made.card["trait"] is None
    assert made.card["phenotype"] == {}
    assert made.card["samples"] == 120  # nobody is left out for want of a value
    assert "no trait was named: the sides are balanced in size only" in made.card["notes"]
    page = (tmp_path / "out" / "split_card.html").read_text()
    assert "Split of 120 samples<" in page
    assert "None" not in page
    assert audit_file(tmp_path / "out" / "split.csv", data=data, budget=0.1).audit.leaks == ()
    with pytest.raises(StudyError, match="--compare predicts a trait"):
        compare_split(tmp_path / "out", data=data)


def test_the_only_trait_is_balanced_and_a_named_one_must_be_there(tmp_path):
    data = table(tmp_path, y=np.random.default_rng(1).normal(size=120))
    assert split_data(data=data, out=tmp_path / "out").card["trait"] == "y"
    with pytest.raises(ValueError, match="'z'"):
        split_data(data=data, trait="z", out=tmp_path / "out")


def test_seqnames_are_grouped_and_audited(tmp_path):
    start = np.arange(120) * 1000 + 1
    start[60:] = start[:60] + 59  # the last base of one is the first of another
    data = table(tmp_path, seqnames="chr1", start=start, end=start + 59, width=60)
    made = split_data(data=data, groups=("overlap",), out=tmp_path / "out")
    assert made.card["groups"] == 60
    sides = pd.DataFrame({"id": [f"s{i}" for i in range(120)], "set": ["train"] * 60 + ["test"] * 60})
    sides.to_csv(tmp_path / "bad.csv", index=False)
    audit = audit_file(tmp_path / "bad.csv", data=data, groups=("overlap",), budget=0.1).audit
    (leak,) = audit.leaks
    assert (leak.kind, leak.count, leak.rows, leak.between) == ("overlap", 60, 60, ("test", "train"))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"groups": ("overlap",)}, "'overlap' needs the columns"),
        ({"extrapolation": "unseen", "identity": 0.9}, "give one of the two"),
        ({"relatedness": "0.1"}, "relatedness is of genotypes"),
    ],
)
def test_what_an_audit_cannot_do_is_an_error(tmp_path, asked, message):
    data = table(tmp_path)
    split_data(data=data, out=tmp_path)
    with pytest.raises(SplitError, match=message):
        audit_file(tmp_path / "split.csv", data=data, **asked)


def test_card_and_page_and_audit_have_the_same_numbers(tmp_path):
    data = table(tmp_path)
    split_data(data=data, out=tmp_path)
    card = json.loads((tmp_path / "split_card.json").read_text())
    again = audit_file(tmp_path / "split.csv", data=data).audit
    assert {check["name"]: check["found"] for check in card["audit"]["checks"]} == {
        check["name"]: check["found"] for check in again.facts["checks"]
    }
    assert card["sizes"] == again.facts["sizes"]
