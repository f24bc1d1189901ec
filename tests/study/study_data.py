"""A small set of genotypes with a trait."""

from __future__ import annotations

import numpy as np
import pandas as pd

from automl_pheno.data import Dataset, Inputs


def make_dataset(n=120, variants=30):
    rng = np.random.default_rng(0)
    dosages = rng.integers(0, 3, (n, variants)).astype(np.float32)
    ids = np.array([f"line{i}" for i in range(n)])
    y = dosages[:, 0] - dosages[:, 1] + 0.3 * rng.normal(size=n)
    return Dataset(
        name="toy", ids=ids, inputs=Inputs(kind="genotype", values=dosages),
        traits=pd.DataFrame({"yield": y}, index=ids), columns=pd.DataFrame(index=ids),
    )  # fmt: skip
