"""Which predictors stand beside the networks."""

from __future__ import annotations

from automl_pheno.predictors import PREDICTORS, Predictor
from automl_pheno.registry import Registry

NETWORK = "network"

KERNEL_LIMIT = 10_000
"""Training samples beyond which n x n kernels take too much memory and time to be a default."""

KERNELS = ("gblup", "rkhs")

BASELINES: Registry[type[Predictor]] = Registry("baseline")
"""Every predictor but the network."""

for _name, _member in PREDICTORS.items():
    if _name != NETWORK:
        BASELINES.add(_name)(_member)


def default_baselines(n_train: int) -> tuple[str, ...]:
    """Return the baselines for `n_train` training samples, cheapest first where that is known."""
    names = [name for name in BASELINES if n_train <= KERNEL_LIMIT or name not in KERNELS]
    return tuple(sorted(names, key=lambda name: (name != "mean", names.index(name))))
