import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_pheno.data import Dataset, Inputs, encode_sequences
from automl_pheno.errors import SplitError, UnknownNameError
from automl_pheno.splits import make_groups
from automl_pheno.splits.groups import union


def sequences(texts, **columns):
    ids = np.array([f"s{i}" for i in range(len(texts))])
    inputs = Inputs(kind="sequence", values=encode_sequences(texts)[0])
    traits = pd.DataFrame({"y": np.arange(len(texts), dtype=float)}, index=ids)
    return Dataset(name="x", ids=ids, inputs=inputs, traits=traits, columns=pd.DataFrame(columns, index=ids))


def labels(data, *asked):
    return make_groups(data, asked).labels.tolist()


def test_exact_and_reverse_complement_duplicates_are_one_group():
    data = sequences(["AACC", "GGTT", "AACC", "AACA", "ACGT", "AAC", "GTT", "NACC", "GGTN"])
    groups = make_groups(data, automatic=False)
    assert groups.labels.tolist() == [0, 0, 0, 1, 2, 3, 3, 4, 4]
    assert groups.counts == {"duplicates": 5}
    assert any("4 of 9 samples repeat" in note for note in groups.notes)


def test_identical_genotypes_are_one_group():
    values = np.array([[0, np.nan], [-0.0, np.nan], [0, 1], [0, 0]], np.float32)
    ids = np.array(list("abcd"))
    empty = pd.DataFrame(index=ids)
    data = Dataset(name="x", ids=ids, inputs=Inputs(kind="genotype", values=values), traits=empty, columns=empty)
    assert labels(data) == [0, 0, 1, 2]


def test_columns_join_by_value_and_a_missing_value_is_alone():
    data = sequences(["AAAAAA", "AAAAAC", "AAAACC", "AAACCC", "AACCCC"],
                     sire=["a", "a", None, None, "b"], cage=[1.0, 2.0, 2.0, np.nan, np.nan])  # fmt: skip
    assert labels(data, "column:sire") == [0, 0, 1, 2, 3]
    assert labels(data, "column:cage") == [0, 1, 1, 2, 3]
    assert labels(data, "column:sire", "column:cage") == labels(data, "column:sire,cage") == [0, 0, 0, 1, 2]
    assert labels(data, "random") == [0, 1, 2, 3, 4]


def test_a_family_column_is_used_without_asking_and_said():
    data = sequences(["AAAAAA", "AAAAAC", "AAAACC"], Family=["x", "y", "x"])
    groups = make_groups(data)
    assert groups.labels.tolist() == [0, 1, 0]
    assert "'Family'" in groups.notes[0]
    assert labels(data, "random") == [0, 1, 2]


def test_chromosomes_are_the_same_with_and_without_chr():
    data = sequences(["AAAAAA", "AAAAAC", "AAAACC"], chrom=["chr1", "1", "Chr2"])
    assert labels(data, "chromosome") == [0, 0, 1]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("column:famly",), "no column 'famly'.*did you mean 'family'"),
        (("column",), "needs a name"),
        (("chromosome",), "needs a column called"),
        (("duplicates:x",), "takes no argument"),
        (("random", "column:family"), "stands alone"),
    ],
)
def test_bad_groupings_are_refused(asked, message):
    with pytest.raises(SplitError, match=message):
        make_groups(sequences(["AAAAAA", "AAAAAC"], family=["a", "b"]), asked)


def test_an_unknown_grouping_is_guessed():
    with pytest.raises(UnknownNameError, match="did you mean 'chromosome'"):
        make_groups(sequences(["AAAAAA"]), ("chromosom",))


@given(st.integers(1, 25).flatmap(lambda n: st.lists(st.lists(st.integers(-5, 5), min_size=n, max_size=n), min_size=1,
                                                     max_size=3)))  # fmt: skip
def test_union_is_the_transitive_closure(groupings):
    n = len(groupings[0])
    together = np.eye(n, dtype=bool)
    for one in groupings:
        together |= np.equal.outer(one, one)
    for _ in range(n):
        together = (together.astype(int) @ together.astype(int)) > 0
    found = union([np.array(one) for one in groupings])
    np.testing.assert_array_equal(np.equal.outer(found, found), together)
