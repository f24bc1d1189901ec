"""Columns with places in a genome are recognised by one table of names, whatever program has written them."""

import pandas as pd
import pytest

from automl_pheno.data.places import IntervalError, place_column, read_intervals

FRAME = {"chromosome": ["chr1", "1", "2"], "start": [10, 40, 5], "end": [20, 60, 9]}


@pytest.mark.parametrize("chromosome", ["seqnames", "chrom", "#chr", "Chromosome", "contig", "scaffold", "seqid"])
@pytest.mark.parametrize(("start", "end"), [("start", "end"), ("chromStart", "chromEnd"), ("begin", "stop"),
                                            ("pos", "end"), ("tx.start", "tx_end"), ("START", "STOP")])  # fmt: skip
def test_each_name_counts(chromosome, start, end):
    table = pd.DataFrame(FRAME).rename(columns={"chromosome": chromosome, "start": start, "end": end})
    found = read_intervals(table)
    assert dict(found.columns) == {"chromosome": chromosome, "start": start, "end": end}
    assert found.chromosome.tolist() == ["1", "1", "2"]
    assert (found.start.tolist(), found.end.tolist(), found.from_one) == ([10, 40, 5], [20, 60, 9], False)


def test_the_best_known_name_is_taken():
    assert place_column(["contig", "pos", "chrom", "start"], "chromosome") == "chrom"
    assert place_column(["contig", "pos", "chrom", "start"], "start") == "start"
    assert place_column(["id", "pos"], "position") == "pos"
    assert place_column(["chromatin", "startle"], "chromosome") is None


def test_a_column_width_proves_that_places_count_from_one():
    granges = pd.DataFrame(FRAME).assign(width=[11, 21, 5])
    assert read_intervals(granges).start.tolist() == [9, 39, 4]
    assert read_intervals(granges.assign(width=[10, 20, 4])).start.tolist() == [10, 40, 5]
    assert read_intervals(granges.assign(width=[11, 20, 4])).start.tolist() == [10, 40, 5]


def test_samples_without_an_interval_are_known_as_such():
    table = pd.DataFrame({"chrom": ["1", None, "1"], "start": [1.0, 2.0, None], "end": [9, 9, 9]})
    assert read_intervals(table).known.tolist() == [True, False, False]
    assert read_intervals(table.drop(columns="end")) is None


@pytest.mark.parametrize(("start", "is_place"), [([0.5], False), (["x"], False), ([9], True), ([-1], True)])
def test_a_row_that_is_no_interval_is_an_error(start, is_place):
    with pytest.raises(IntervalError) as caught:
        read_intervals(pd.DataFrame({"chr": ["1"], "start": start, "end": [9]}))
    assert caught.value.is_place == is_place
