import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_pheno.data import Dataset, Inputs
from automl_pheno.errors import SplitError
from automl_pheno.simulate.leaks import plant_sequence_leaks, simulate_unrelated
from automl_pheno.splits.groups import number_in_order
from automl_pheno.splits.overlap import overlap, suits_overlap


def intervals(**columns):
    n = len(next(iter(columns.values())))
    ids = np.array([f"s{i}" for i in range(n)])
    return Dataset(
        name="x",
        ids=ids,
        inputs=Inputs(kind="sequence", values=np.ones((n, 4), dtype=np.uint8)),
        traits=pd.DataFrame(index=ids),
        columns=pd.DataFrame(columns, index=ids),
    )


def labels(dataset, argument=None):
    return number_in_order(overlap(dataset, argument).labels).tolist()


def by_brute_force(rows, slack):
    """Connected components of 'at most slack bases lie between', by comparing all pairs until nothing changes."""
    label = list(range(len(rows)))
    changed = True
    while changed:
        changed = False
        for i, (chromosome, start, end) in enumerate(rows):
            for j, (other, start_j, end_j) in enumerate(rows):
                between = max(start, start_j) - min(end, end_j)
                if chromosome == other and (between < 0 or between <= slack > 0) and label[i] != label[j]:
                    label[i] = label[j] = min(label[i], label[j])
                    changed = True
    return number_in_order(np.array(label)).tolist()


@given(
    rows=st.lists(st.tuples(st.sampled_from("12X"), st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=25),
    slack=st.integers(0, 5),
)
def test_groups_are_the_components_of_all_pairs(rows, slack):
    rows = [(chromosome, start, start + length) for chromosome, start, length in rows]
    chromosome, start, end = zip(*rows, strict=True)
    data = intervals(chrom=list(chromosome), start=list(start), end=list(end))
    assert labels(data, f"{slack}") == by_brute_force(rows, slack)


def test_the_end_is_not_included_and_chr_does_not_count():
    data = intervals(Chr=["chr1", "1", "1", "2"], START=[0, 10, 19, 5], End=[10, 20, 30, 15])
    assert labels(data) == [0, 1, 1, 2]
    assert labels(data, "1") == [0, 0, 0, 1]
    assert suits_overlap(data) == (True, ())
    assert overlap(data, None).facts["overlapping"] == 2


def test_genomes_are_apart():
    data = intervals(
        sp=["At", "Zm", "Zm"], strain=["a", "a", "b"], chromosome=[1, 1, 1], start=[0, 0, 5], end=[9, 9, 20]
    )
    assert labels(data) == [0, 1, 1]
    assert labels(data, "strain") == [0, 0, 1]
    assert labels(data, "50, strain") == [0, 0, 1]


def test_a_sample_without_interval_is_alone_and_counted():
    data = intervals(chrom=["1", None, "1", "1"], start=[0.0, 0.0, np.nan, 5.0], end=[9.0, 9.0, np.nan, 6.0])
    found = overlap(data, None)
    assert number_in_order(found.labels).tolist() == [0, 1, 2, 0]
    assert found.notes == ("2 of 4 samples have no interval; each is a group of its own",)


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"chrom": ["1"], "start": [3]}, "the data lack end"),
        ({"start": [3], "end": [4]}, "the data lack chromosome"),
        ({"chrom": ["1"], "start": [5], "end": [5]}, "5-5 of 's0' ends where it starts"),
        ({"chrom": ["1"], "start": [-5], "end": [5]}, "starts below 0"),
        ({"chrom": ["1"], "start": [0.5], "end": [5]}, "no whole number"),
        ({"chrom": ["1"], "start": ["x"], "end": [5]}, "no number"),
    ],
)
def test_bad_intervals_are_refused(columns, problem):
    with pytest.raises(SplitError, match=problem):
        overlap(intervals(**columns), None)


def test_an_unknown_argument_is_refused():
    with pytest.raises(SplitError, match=r"a number of bases or a column.*'-3'"):
        overlap(intervals(chrom=["1"], start=[0], end=[5]), "-3")


def test_planted_overlaps_are_found():
    rng = np.random.default_rng(0)
    data = simulate_unrelated(200, 100, rng)
    placed = Dataset(name="x", ids=data.ids, inputs=data.inputs, traits=data.traits, columns=data.columns.assign(
        chrom="1", start=np.arange(200) * 1000, end=np.arange(200) * 1000 + 100))  # fmt: skip
    grown, planted = plant_sequence_leaks(placed, "overlap", 0.1, rng)
    found = dict(zip(grown.ids.tolist(), overlap(grown, None).labels.tolist(), strict=True))
    assert all(found[a] == found[b] for a, b in planted.tolist())
    assert len(set(found.values())) == 200


@pytest.mark.data
def test_jores_promoters_overlap_as_often_as_the_readme_says(data_folder):
    table = pd.read_csv(data_folder / "jores_promoters" / "promoters.csv.gz", usecols=["sp", "chrom", "start", "end"])
    data = intervals(**{name: table[name].tolist() for name in table})
    assert suits_overlap(data) == (True, ())
    found = overlap(data, None)
    sizes = np.bincount(number_in_order(found.labels))
    assert (sizes - 1).sum() == 45  # adjacent overlapping intervals
    assert found.facts["genome"] == "sp"
