import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Dataset, Inputs, load_dataset, read_dataset, save_dataset
from automl_pheno.errors import DataError


def assert_same(a, b):
    assert (a.name, a.files, a.notes, a.unusable, a.kind) == (b.name, b.files, b.notes, b.unusable, b.kind)
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_array_equal(a.inputs.values, b.inputs.values)
    assert a.inputs.values.dtype == b.inputs.values.dtype
    for one, other in ((a.traits, b.traits), (a.columns, b.columns), (a.inputs.variants, b.inputs.variants)):
        if one is None:
            assert other is None
        else:
            pd.testing.assert_frame_equal(one, other, check_exact=True, check_index_type=False)
    assert a.sha256() == b.sha256()


def test_what_was_read_comes_back(tmp_path):
    table = tmp_path / "d.csv"
    table.write_text("id,sequence,y,z,family,n\na,ACGT,1.25,x,é,1\nb,GG,NA,2,,2\n")
    data = read_dataset(table)
    save_dataset(data, tmp_path / "d.npz")
    assert_same(data, load_dataset(tmp_path / "d.npz"))
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


def test_genotypes_and_every_type_of_column_come_back(tmp_path):
    ids = np.array(["a", "bb", "c"])
    variants = pd.DataFrame({"id": ["m1", "m2"], "chromosome": ["1", ""], "position": [5, -1]})
    values = np.array([[0, 1], [np.nan, 2], [0.1, 0]], np.float32)
    columns = pd.DataFrame(
        {"t": ["x", None, "y"], "f": [1.5, np.nan, 2], "b": [True, False, True], "c": pd.Categorical(["u", "v", "u"]),
         "mixed": [1, "a", None]},
        index=ids,
    )  # fmt: skip
    traits = pd.DataFrame({"y": [0.1, np.nan, 1 / 3]}, index=ids)
    inputs = Inputs(kind="genotype", values=values, variants=variants)
    data = Dataset(name="g", ids=ids, inputs=inputs, traits=traits, columns=columns)
    save_dataset(data, tmp_path / "g.npz")
    assert_same(data, load_dataset(tmp_path / "g.npz"))


def test_a_failed_write_leaves_the_old_file(tmp_path):
    ids = np.array(["a"])
    empty = pd.DataFrame(index=ids)
    inputs = Inputs(kind="genotype", values=np.zeros((1, 1), np.float32))
    good = Dataset(name="g", ids=ids, inputs=inputs, traits=empty, columns=empty)
    save_dataset(good, tmp_path / "g.npz")
    bad = Dataset(name="g", ids=ids, inputs=inputs, traits=empty, columns=pd.DataFrame({"o": [object()]}, index=ids))
    with pytest.raises(DataError, match="column 'o' cannot be stored"):
        save_dataset(bad, tmp_path / "g.npz")
    assert_same(good, load_dataset(tmp_path / "g.npz"))
    assert len(list(tmp_path.iterdir())) == 1


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        load_dataset(tmp_path / "no.npz")
    (tmp_path / "x.npz").write_bytes(b"something else")
    with pytest.raises(DataError, match="not a stored data set"):
        load_dataset(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="not a stored data set"):
        load_dataset(tmp_path / "y.npz")
