"""Fitted networks on simulated data whose truth is known; kept in a cache folder. Used by ``interpretation.py``.

python benchmarks/planted.py --cache DIR [--kinds motifs mutants genotypes] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import Dataset, Examples, FloatArray, Inputs, IntArray
from automl_pheno.data.store import load_dataset, save_dataset
from automl_pheno.metrics import METRICS
from automl_pheno.predictors.protocol import FitSummary, Predictor
from automl_pheno.predictors.storage import load_predictor, save_predictor
from automl_pheno.rng import generator
from automl_pheno.simulate import SIMULATORS, Truth
from automl_pheno.space import default_values, load_space
from automl_pheno.space.config import ModelConfig
from automl_pheno.space.sample import configuration

SPACES = Path(__file__).resolve().parents[1] / "search_spaces"
SETS = ("train", "validation", "test")
SHARES = (0.70, 0.15)
"""Of training and validation; the rest is the test part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """How one kind of truth is simulated, and the configurations that learn it.

    Attributes
    ----------
    simulate, quick
        Arguments of the simulator; `quick` replaces some of them.
    space, points
        A shipped space, and where points of it leave its defaults. Of several the one with the best validation r on
        the data at hand is taken; how well the truth was found again never decides.
    members
        Networks whose mean is the predictor; with `quick` it is one, of the first point alone.
    quick_epochs
        Of a quick training; None leaves those of the space.
    """

    simulate: Mapping[str, Any]
    quick: Mapping[str, Any]
    space: str
    points: tuple[Mapping[str, Any], ...]
    members: int = 3
    quick_epochs: int | None = None

    def configs(self, *, quick: bool) -> list[ModelConfig]:
        """Return the configurations."""
        space = load_space(SPACES / f"{self.space}.yaml")
        configs = [configuration(space, default_values(space) | dict(point)) for point in self.points]
        if not quick:
            return configs
        first = configs[0]
        fit = first.fit.model_copy(update={"max_epochs": self.quick_epochs or first.fit.max_epochs})
        return [first.model_copy(update={"fit": fit})]


_SINGLE = {
    "trunk.1.kernel_size": 1, "trunk.1.filters": 8, "head.0.activation": "silu", "fit.learning_rate": 4.0e-3,
}  # fmt: skip


DESIGNS = {
    "motifs": Design(
        simulate={"n": 20_000, "length": 80, "ceiling_r": 0.98},
        quick={"n": 14_000, "length": 60, "ceiling_r": 1.0},
        quick_epochs=20,
        space="cnn",
        points=({"trunk.1.kernel_size": 13, "trunk.1.normalization": "batch", "trunk.1.activation": "exponential"},),
    ),
    "mutants": Design(
        simulate={"n": 9000, "length": 200},
        quick={"n": 5000, "length": 100},
        space="cnn_aligned",
        points=({"fit.gate_l1": 1.0}, {**_SINGLE, "fit.gate_l1": 0.3}, {**_SINGLE, "fit.gate_l1": 0.1}),
        members=1,
    ),
    "genotypes": Design(
        simulate={"n": 7000, "n_variants": 500, "block": 10, "n_causal": 16, "n_pairs": 4},
        quick={"n": 4000, "n_variants": 250, "n_causal": 8, "n_pairs": 2},
        space="cnn_genotype",
        points=({"trunk.0.repeat": 1, "trunk.1.dropout": 0.1, "head.0.dropout": 0.2, "fit.l2": 1.0e-3},),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Planted:
    """Simulated data, their truth, and a network fitted on the training part.

    Attributes
    ----------
    train, validation, test
        Rows of each part. Duplicates and full sibs are in one part.
    config
        Of the network.
    scores
        ``train_r, validation_r, test_r, ceiling_r, epochs, point, seconds``; the point is that of `Design.points`.
    """

    dataset: Dataset
    truth: Truth
    predictor: Predictor
    train: IntArray
    validation: IntArray
    test: IntArray
    config: ModelConfig
    scores: Mapping[str, float]

    def inputs(self, part: str) -> Inputs:
        """Return the inputs of ``train``, ``validation`` or ``test``."""
        return self.dataset.inputs.take(getattr(self, part))

    def examples(self, part: str, y: FloatArray | None = None) -> Examples:
        """Return samples of one part, with another trait (of all samples) where one is given."""
        return examples(self.dataset, getattr(self, part), y)


def examples(dataset: Dataset, rows: IntArray, y: FloatArray | None = None) -> Examples:
    """Return the samples at `rows` with their trait, or with `y` of all samples in its place."""
    trait = dataset.y("trait") if y is None else y
    return Examples(inputs=dataset.inputs.take(rows), y=trait[rows], groups=np.arange(len(rows)))


def cut(dataset: Dataset, seed: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return rows to train, validate and test; duplicates, and full sibs of genotypes, stay together."""
    if dataset.inputs.kind == "genotype":
        keys: npt.NDArray[Any] = dataset.columns["family"].to_numpy(dtype=str)
    else:
        keys = np.array([row.tobytes().hex() for row in dataset.inputs.values])
    group = np.unique(keys, return_inverse=True)[1]
    place = generator(seed, "planted", "cut").random(int(group.max()) + 1)[group]
    part = np.digitize(place, np.cumsum(SHARES))
    train, validation, test = (np.flatnonzero(part == number) for number in range(3))
    return train, validation, test


def fit_network(
    config: ModelConfig, train: Examples, validation: Examples, *, seed: int, members: int = 1
) -> tuple[Predictor, FitSummary]:
    """Return a network trained until the validation r no longer rises."""
    from automl_pheno.predictors.network import NetworkPredictor

    network = NetworkPredictor(config, metric="pearson_r", members=members)
    return network, network.fit(train, validation, rng=generator(seed, "planted", "fit"))


def planted(kind: str, seed: int, cache: Path, *, quick: bool) -> Planted:
    """Return data, truth and fitted network; from the cache where the same design was fitted before.

    Parameters
    ----------
    cache
        Gets ``KIND-SEED/`` with ``best/``, ``data.npz``, ``truth.json``, ``truth.npz``, ``parts.npz`` and
        ``scores.json``. With `quick` the folder is ``quick-KIND-SEED/``.
    """
    design = DESIGNS[kind]
    arguments = {**design.simulate, **(design.quick if quick else {})}
    configs, members = design.configs(quick=quick), 1 if quick else design.members
    asked = {
        "simulate": arguments,
        "configs": [json.loads(config.model_dump_json()) for config in configs],
        "members": members,
    }
    folder = cache / f"{'quick-' if quick else ''}{kind}-{seed}"
    try:
        stored = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    except OSError:
        stored = {}
    if stored.get("design") != asked:
        _fit_into(folder, kind, seed, arguments, configs, members, asked)
        stored = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    with np.load(folder / "parts.npz") as parts:
        rows = {name: parts[name] for name in SETS}
    return Planted(
        dataset=load_dataset(folder / "data.npz"),
        truth=Truth.load(folder),
        predictor=load_predictor(folder / "best"),
        config=configs[stored["scores"]["point"]],
        scores=stored["scores"],
        **rows,
    )


def _fit_into(
    folder: Path,
    kind: str,
    seed: int,
    arguments: Mapping[str, Any],
    configs: Sequence[ModelConfig],
    members: int,
    asked: Any,
) -> None:
    dataset, truth = SIMULATORS[kind](seed=seed, **arguments)
    parts = dict(zip(SETS, cut(dataset, seed), strict=True))
    y, r = dataset.y("trait"), METRICS["pearson_r"].function
    train, validation = examples(dataset, parts["train"]), examples(dataset, parts["validation"])
    start = time.perf_counter()
    fitted = [fit_network(config, train, validation, seed=seed, members=members) for config in configs]
    seconds = time.perf_counter() - start
    chosen = int(np.argmax([r(validation.y, network.predict(validation.inputs)) for network, _ in fitted]))
    network, summary = fitted[chosen]
    scores = {f"{name}_r": r(y[rows], network.predict(dataset.inputs.take(rows))) for name, rows in parts.items()}
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "best").mkdir(parents=True)
    save_predictor(network, folder / "best", dataset.inputs.take(np.arange(1)), trait="trait")
    save_dataset(dataset, folder / "data.npz")
    truth.save(folder)
    np.savez(folder / "parts.npz", **parts)  # type: ignore[arg-type]  # stub mixes up allow_pickle
    scores |= {"ceiling_r": truth.ceiling_r, "epochs": summary.best_epoch, "point": chosen, "seconds": seconds}
    # last, so that a folder cut short is fitted again
    (folder / "scores.json").write_text(json.dumps({"design": asked, "scores": scores}, indent=1) + "\n")


def main() -> None:
    """Fill a cache."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for seed in options.seeds:
        for kind in options.kinds:
            scores = planted(kind, seed, options.cache, quick=options.quick).scores
            print(
                f"{kind} seed {seed}: train r {scores['train_r']:.4f}, validation r {scores['validation_r']:.4f}, "
                f"test r {scores['test_r']:.4f} of at most {scores['ceiling_r']:.4f}, {scores['seconds']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
