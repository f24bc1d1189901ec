import numpy as np
import pandas as pd
import pytest

from automl_pheno.data import Dataset, Inputs, choose_trait, drop_missing
from automl_pheno.errors import DataError


def make(**traits):
    n = len(next(iter(traits.values()))) if traits else 5
    ids = np.array([f"s{i}" for i in range(n)])
    inputs = Inputs(kind="genotype", values=np.zeros((n, 2), np.float32))
    return Dataset(name="x", ids=ids, inputs=inputs, traits=pd.DataFrame(traits, index=ids),
                   columns=pd.DataFrame(index=ids))  # fmt: skip


def test_choose_trait():
    assert choose_trait(make(a=np.arange(5.0)), None) == "a"
    two = make(a=np.arange(5.0), b=np.arange(5.0))
    assert choose_trait(two, "b") == "b"
    with pytest.raises(DataError, match="a, b"):
        choose_trait(two, None)
    with pytest.raises(DataError, match="no trait 'c'"):
        choose_trait(two, "c")
    with pytest.raises(DataError, match="no numeric trait"):
        choose_trait(make(), None)


def test_drop_missing_counts_and_keeps_order():
    y = np.arange(30.0)
    y[[3, 7]] = np.nan
    data = drop_missing(make(y=y), "y")
    assert data.y("y").tolist() == [v for v in range(30) if v not in (3, 7)]
    assert data.ids[3] == "s4"
    assert data.notes[-1] == "2 of 30 samples have no y and are left out"
    assert drop_missing(data, "y") is data


def test_drop_missing_refuses_what_cannot_be_learnt():
    with pytest.raises(DataError, match="19 values; at least 20"):
        drop_missing(make(y=np.arange(19.0)), "y")
    with pytest.raises(DataError, match="is 2 in all 25 samples"):
        drop_missing(make(y=np.full(25, 2.0)), "y")
    with pytest.raises(DataError, match="finite, sample 's1'"):
        drop_missing(make(y=np.array([0, np.inf, *range(25)])), "y")
