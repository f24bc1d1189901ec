import gzip

import numpy as np
import pytest

from automl_pheno.errors import SplitError
from automl_pheno.simulate.leaks import simulate_unrelated
from automl_pheno.splits import make_groups, write_split
from automl_pheno.splits.imported import read_any_split
from automl_pheno.splits.imported_pairs import pairs, read_pairs
from automl_pheno.splits.split import Split
from automl_pheno.splits.thresholds import KINSHIP_LADDER


@pytest.fixture
def data():
    data = simulate_unrelated(8, 30, np.random.default_rng(0))
    assert data.ids.tolist() == [f"random_{i}" for i in range(8)]
    return data


@pytest.fixture
def write(tmp_path):
    def make(text, name="x.csv"):
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return make


def test_graphpart(data, write):
    text = "AC,priority,label-val,between_connectivity,cluster\n"
    text += "".join(f"random_{i},False,0,0,{i % 3}.0\n" for i in range(7))
    found = read_any_split(write(text), data)
    assert found.split.fold.tolist() == [0, 1, 2, 0, 1, 2, 0, -1]
    assert found.split.set.tolist() == ["train"] * 7 + ["purged"]
    assert found.named.tolist() == [True] * 7 + [False]
    assert "GraphPart" in found.notes[0]
    assert "1 of 8 samples of the data are not in x.csv" in found.notes[1]


def test_datasail(data, write):
    names = ["train", "train", "val", "test", "not selected", "train", "test", "train"]
    text = "ID\tSplit\n" + "".join(f"random_{7 - i}\t{name}\n" for i, name in enumerate(names))
    found = read_any_split(write(text, "x.tsv.gz"), data)
    expected = ["train", "test", "train", "purged", "test", "validation", "train", "train"]
    assert found.split.set.tolist() == expected
    assert not found.split.is_cross_validation


@pytest.mark.parametrize("header", ["", "id\tset\n", "name fold\n"])
def test_hashfrag_with_reverse_complements(data, write, header):
    text = header
    for i in range(8):
        side = "test" if i < 2 else "train"
        text += f"random_{i}\t{side}\nrandom_{i}_Reversed\t{side}\n" if " " not in header else f"random_{i} {side}\n"
    found = read_any_split(write(text), data)
    assert found.split.set.tolist() == ["test"] * 2 + ["train"] * 6


def test_folds_beside_a_test_set(data, write):
    found = read_any_split(write("".join(f"random_{i};{['test', '10', '2'][i % 3]}\n" for i in range(8))), data)
    assert found.split.fold.tolist() == [-1, 1, 0, -1, 1, 0, -1, 1]
    assert found.split.set[0] == "test"


def test_ours_in_another_order_with_fewer_samples(data, tmp_path):
    purged = np.zeros((6, 2), dtype=bool)
    purged[0, 1] = True
    split = Split(
        ids=data.ids[[5, 4, 3, 2, 1, 0]], group=np.arange(6), set=np.array(["train"] * 5 + ["test"]),
        fold=np.array([0, 1, 0, 1, 0, -1]), purged_from=purged,
    )  # fmt: skip
    write_split(split, tmp_path / "split.csv")
    found = read_any_split(tmp_path / "split.csv", data)
    assert found.split.set.tolist() == ["test", *["train"] * 5, "purged", "purged"]
    assert found.split.fold.tolist() == [-1, 0, 1, 0, 1, 0, -1, -1]
    assert found.split.purged_from is not None
    assert np.argwhere(found.split.purged_from).tolist() == [[5, 1]]
    assert len(set(found.split.group.tolist())) == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("id,set\n", "has a header but no samples"),
        ("id,set,other,more\nrandom_0,train\n", "x.csv:2: expected 4 columns, got 2"),
        ("weight,height,age\n1,2,3\n", "x.csv:1: a split is a table of an id .* got the columns weight, height, age"),
        (
            "id,set\nrandom_0,train\nrandom_1,test\nrandom_0,test\n",
            "x.csv:4: sample 'random_0' is there twice, in train on line 2 and in test",
        ),
        ("id,set\nrandom_0,train\nrandom_0,train\n", "x.csv:3: .* first on line 2"),
        ("id,set\na,train\nb,test\n", "none of its 2 ids is a sample of the data"),
        ("id,set\nrandom_0,train\nrandom_1,tset\n", "x.csv:3: unknown set 'tset'"),
        ("id,set\nrandom_0,train\nrandom_1,train\n", "train, and in validation or test, got train only"),
        ("id,fold\n" + "".join(f"random_{i},{i}\n" for i in range(8)), "8 values for 8 samples are no folds"),
        ("random_0,train\nrandom_0_Reversed,test\nrandom_1,test\n", "x.csv:2: 'random_0_Reversed' is in test"),
        ("id,set\nrandom_0,tr\0ain\n", "x.csv:2: a NUL byte"),
        ("id,group,set,fold\nrandom_0,x,train,\n", "x.csv:2: group must be a whole number"),
        ("id,group,set,fold\nzzz,0,train,\n", "1 of 1 samples of the split are not in the data: 'zzz'"),
    ],
)  # fmt: skip
def test_a_bad_split_is_refused_in_one_line(data, write, text, message):
    with pytest.raises(SplitError, match=message) as caught:
        read_any_split(write(text), data)
    assert "\n" not in str(caught.value)


def test_plink_kin0(data, write):
    text = "#FID1\tIID1\tFID2\tIID2\tNSNP\tHETHET\tIBS0\tKINSHIP\n"
    text += "0\trandom_0\t0\trandom_1\t99\t0.1\t0.1\t0.25\n0\trandom_1\t0\trandom_2\t99\t0.1\t0.1\t0.01\n"
    text += "0\trandom_3\t0\trandom_2\t99\t0.1\t0.1\t0.1\n0\tzzz\t0\trandom_2\t99\t0.1\t0.1\t0.3\n"
    found, notes = read_pairs(write(text, "rel.kin0"), data)
    assert (found.first.tolist(), found.second.tolist()) == ([0, 2], [1, 3])
    assert found.similarity.tolist() == [0.25, 0.1]
    assert found.threshold == KINSHIP_LADDER[0]
    assert found.ladder == KINSHIP_LADDER[1:]
    assert any("1 of 4 rows name a sample" in note for note in notes)
    stated, _ = read_pairs(write(text, "rel.kin0"), data, 0.2)
    assert (len(stated), stated.ladder) == (1, ())


def test_king_kin_in_blanks(data, write):
    text = "FID     ID1      ID2      N_SNP Kinship\nrandom  0  1  99  0.2500\nrandom 2 3 99 nan\n"
    found, notes = read_pairs(write(text, "king.kin"), data)
    assert list(zip(found.first, found.second, strict=True)) == [(0, 1)]
    assert any("2 ids are matched as FID_IID" in note for note in notes)


def test_a_list_without_header_and_the_grouping(data, write):
    text = (
        "random_0\trandom_0\t200\nrandom_0\trandom_1_Reversed\t61\nrandom_1\trandom_0\t62.5\nrandom_4\trandom_5\t60\n"
    )
    path = write(text, "x.processed.tsv")
    found, _ = read_pairs(path, data)
    assert found.similarity.tolist() == [62.5, 60.0]
    assert found.threshold == 60.0
    groups = make_groups(data, (f"pairs:{path}=61",))
    assert [len(one) for one in groups.pairs] == [1]
    assert "x.processed.tsv lists from 61 on" in groups.guarantees[f"pairs:{path}=61"]
    two, _ = read_pairs(write("random_0,random_1\n"), data)
    assert two.similarity.tolist() == [1.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("ID1,ID2,KINSHIP\n", "has a header but no pairs"),
        ("ID1,ID2,KINSHIP\na,b,0.1\n", "none of its 1 pairs is of two samples of the data"),
        ("ID1,ID2,KINSHIP\nrandom_0,random_1,high\n", "x.csv:2: the kinship must be a number, got 'high'"),
        ("ID1,ID2,KINSHIP\nrandom_0,random_1\n", "x.csv:2: expected 3 columns, got 2"),
        ("a,b,c,d\n1,2,3,4\n", "x.csv:1: a table of pairs has two ids"),
    ],
)
def test_bad_pairs_are_refused_in_one_line(data, write, text, message):
    with pytest.raises(SplitError, match=message) as caught:
        read_pairs(write(text), data)
    assert "\n" not in str(caught.value)


def test_the_grouping_needs_a_file(data, tmp_path):
    with pytest.raises(SplitError, match="'pairs' needs a file"):
        pairs(data)
    with pytest.raises(SplitError, match=r"none.csv: cannot be read: No such file"):
        pairs(data, str(tmp_path / "none.csv"))
    with pytest.raises(SplitError, match="the threshold behind '=' must be a number, got 'x'"):
        pairs(data, "file.csv=x")
    (tmp_path / "damaged.gz").write_bytes(gzip.compress(b"random_0,random_1\n" * 99)[:20])
    with pytest.raises(SplitError, match=r"damaged.gz: cannot be read"):
        pairs(data, str(tmp_path / "damaged.gz"))
