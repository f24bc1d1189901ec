"""What every predictor promises, whatever it is.

``FACTORIES`` maps a name to ``kind -> unfitted predictor``. Baselines come from the registry; the network needs a
configuration; three predictors stand behind a curation. The network is trained for a fixed number of epochs here, as in
the refit of a winner; that validation rows choose the epoch otherwise is its purpose, see
``tests/predictors/test_network.py``.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import automl_pheno.predictors  # noqa: F401  # registers the baselines
from automl_pheno.curation import CurationConfig
from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.errors import PredictorError
from automl_pheno.metrics import METRICS
from automl_pheno.predictors.curated import CuratedPredictor
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.predictors.protocol import PREDICTORS, FitSummary, Predictor
from automl_pheno.simulate import simulate_genotypes, simulate_mutants
from automl_pheno.space.config import ModelConfig

KINDS = ("sequence", "genotype")
BASELINES = tuple(name for name in PREDICTORS if name != "network")
FACTORIES: dict[str, Callable[[str], Predictor]] = {
    name: (lambda kind, make=PREDICTORS[name]: make()) for name in BASELINES
}


def make_network(kind):
    config = {
        "input": kind,
        "trunk": [{"block": "gate"}, {"block": "conv", "filters": 4, "kernel_size": 1}, {"block": "flatten"}],
        "head": [{"block": "dense", "units": 16, "dropout": 0.1}],
        "fit": {"batch_size": 32, "learning_rate": 0.01, "l2": 0.001, "gate_l1": 0.1},
    }
    return NetworkPredictor(ModelConfig.model_validate(config), epochs=40)


FACTORIES["network"] = make_network

VARIANTS = {
    "min_call_rate": 0.5,
    "min_maf": 0.02,
    "drop_monomorphic": True,
    "drop_duplicate_variants": True,
    "ld_prune": 0.8,
    "ld_window": 20,
}
CURATIONS = {
    "network": {**VARIANTS, "impute": "knn", "trait": "rank_normal", "weights": "label_density"},
    "gblup": {**VARIANTS, "impute": "mode", "trait": "rank_normal", "resample": "both"},
    "forest": {"impute": "mean", "resample": "over"},
}
"""What stands before a predictor; for sequences only what is not about variants."""


def make_curated(name):
    def make(kind):
        fields = CURATIONS[name]
        if kind == "sequence":
            fields = {key: fields[key] for key in ("trait", "weights", "resample") if key in fields}
        return CuratedPredictor(FACTORIES[name](kind), CurationConfig(**fields))

    return make


FACTORIES |= {f"curated_{name}": make_curated(name) for name in CURATIONS}
# single precision, and a saved network predicts through other kernels than a fresh one
ROUNDING = {"network": 1e-4, "curated_network": 1e-4}
LEARNERS = tuple(name for name in FACTORIES if name != "mean")

both_kinds = pytest.mark.parametrize("kind", KINDS)
every_predictor = pytest.mark.parametrize("name", tuple(FACTORIES))


def make_sequences(n):
    dataset, _ = simulate_mutants(n=n, length=40, seed=10)
    return dataset


def make_genotypes(n):
    dataset, _ = simulate_genotypes(
        n=n,
        n_variants=60,
        n_causal=5,
        n_pairs=0,
        heritability=0.95,
        dominance=0.0,
        epistasis=0.0,
        n_populations=1,
        family_size=1,
        seed=3,
    )
    return dataset


@pytest.fixture(scope="module")
def sets():
    """kind -> (train, validation, test), 160, 40 and 80 samples in groups of 4."""
    made = {}
    for kind, make in (("sequence", make_sequences), ("genotype", make_genotypes)):
        dataset = make(280)
        order = np.random.default_rng(0).permutation(280)
        examples = Examples(inputs=dataset.inputs, y=dataset.y("trait"), groups=np.arange(280) // 4).take(order)
        made[kind] = (
            examples.take(np.arange(160)),
            examples.take(np.arange(160, 200)),
            examples.take(np.arange(200, 280)),
        )
    return made


def fit(name, train, validation=None, seed=1):
    predictor = FACTORIES[name](train.inputs.kind)
    predictor.fit(train, validation, rng=np.random.default_rng(seed))
    return predictor


FITTED: dict[tuple[str, str], Predictor] = {}


def fitted(name, kind, sets):
    """The predictor fitted on the training set, made once."""
    if (name, kind) not in FITTED:
        FITTED[name, kind] = fit(name, sets[kind][0])
    return FITTED[name, kind]


def changed(examples, rng):
    """Other inputs, other y."""
    values = examples.inputs.values.copy()
    rng.shuffle(values, axis=1)
    return Examples(
        inputs=replace(examples.inputs, values=values), y=rng.normal(50, 9, len(examples)), groups=examples.groups
    )


def test_every_member_of_the_registry_is_under_contract():
    assert set(BASELINES) <= set(FACTORIES)
    assert {"mean", "ridge", "elastic_net", "gblup", "rkhs", "forest", "boosting"} <= set(PREDICTORS)


@every_predictor
@both_kinds
def test_predicts_finite_numbers_in_phenotype_units(name, kind, sets):
    train, _, test = sets[kind]
    moved = Examples(inputs=train.inputs, y=1000.0 + 50.0 * train.y, groups=train.groups)
    predictor = FACTORIES[name](kind)
    summary = predictor.fit(moved, rng=np.random.default_rng(1))
    prediction = predictor.predict(test.inputs)
    assert isinstance(predictor, Predictor)
    assert isinstance(summary, FitSummary)
    assert predictor.kind == name.removeprefix("curated_")
    assert summary.weights >= 1
    assert summary.seconds >= 0
    assert prediction.shape == (80,)
    assert prediction.dtype == np.float64
    assert np.isfinite(prediction).all()
    assert moved.y.min() - 200 < prediction.mean() < moved.y.max() + 200
    assert predictor.predict(test.inputs.take(np.arange(0))).shape == (0,)


@every_predictor
@both_kinds
def test_state_comes_from_the_training_rows_alone(name, kind, sets):
    train, validation, test = sets[kind]
    rng = np.random.default_rng(5)
    first = fit(name, train, validation)
    probe = test.inputs
    learnt = first.predict(probe)
    first.predict(changed(test, rng).inputs)
    np.testing.assert_array_equal(first.predict(probe), learnt)
    np.testing.assert_array_equal(fit(name, train, changed(validation, rng)).predict(probe), learnt)
    np.testing.assert_array_equal(fitted(name, kind, sets).predict(probe), learnt)
    # a probe row is predicted the same whatever lies beside it
    close = ROUNDING.get(name, 1e-9)
    np.testing.assert_allclose(first.predict(probe.take(np.arange(5))), learnt[:5], rtol=close, atol=close)
    moved = fit(name, changed(train, rng)).predict(probe)
    assert not np.allclose(moved, learnt)


@every_predictor
@both_kinds
def test_same_generator_same_numbers_and_load_returns_what_was_saved(name, kind, sets, tmp_path):
    train, _, test = sets[kind]
    predictor = fitted(name, kind, sets)
    expected = predictor.predict(test.inputs)
    np.testing.assert_array_equal(fit(name, train).predict(test.inputs), expected)
    predictor.save(tmp_path)
    cls = CuratedPredictor if name.startswith("curated_") else PREDICTORS[name]
    loaded = cls.load(tmp_path).predict(test.inputs)
    np.testing.assert_allclose(loaded, expected, rtol=ROUNDING.get(name, 0.0), atol=ROUNDING.get(name, 0.0))


@pytest.mark.parametrize("name", LEARNERS)
@both_kinds
def test_weights_count_and_weights_of_one_are_none(name, kind, sets):
    train, _, test = sets[kind]
    ones = fit(name, replace(train, weights=np.ones(len(train)))).predict(test.inputs)
    if "forest" not in name:  # weights choose its bootstrap samples, by other random numbers
        close = 1e-3 if "network" in name else 1e-6  # the sums are taken in another order
        np.testing.assert_allclose(ones, fitted(name, kind, sets).predict(test.inputs), rtol=close, atol=close)
    heavy = np.where(train.y > np.median(train.y), 5.0, 0.2)
    lifted = fit(name, replace(train, weights=heavy / heavy.mean())).predict(test.inputs)
    assert lifted.mean() > ones.mean() + 0.01 * train.y.std()


@every_predictor
@both_kinds
def test_constant_y_predicts_it(name, kind, sets):
    train, _, test = sets[kind]
    constant = Examples(inputs=train.inputs, y=np.full(len(train), 7.1), groups=train.groups)
    np.testing.assert_allclose(fit(name, constant).predict(test.inputs), 7.1, rtol=1e-6)


@pytest.mark.parametrize("name", BASELINES)  # a network has weights for bases that it never saw
@both_kinds
def test_inputs_that_never_vary_predict_the_mean(name, kind, sets):
    train, _, test = sets[kind]
    same = replace(train.inputs, values=np.repeat(train.inputs.values[:1], len(train), axis=0))
    predictor = fit(name, Examples(inputs=same, y=train.y, groups=train.groups))
    np.testing.assert_allclose(predictor.predict(test.inputs), train.y.mean(), atol=0.5 * train.y.std())


@pytest.mark.parametrize("name", LEARNERS)
@both_kinds
def test_beats_the_mean_where_there_is_a_signal_and_not_where_there_is_none(name, kind, sets):
    train, _, test = sets[kind]
    r2 = METRICS["r2"].function
    lowest = r2(test.y, fitted("mean", kind, sets).predict(test.inputs))
    assert r2(test.y, fitted(name, kind, sets).predict(test.inputs)) > lowest + 0.1
    shuffled = Examples(inputs=train.inputs, y=np.random.default_rng(0).permutation(train.y), groups=train.groups)
    prediction = fit(name, shuffled).predict(test.inputs)
    assert r2(test.y, prediction) < lowest + 0.1
    assert abs(METRICS["pearson_r"].function(test.y, prediction)) < 0.33  # three standard errors with 80 samples


@every_predictor
@both_kinds
def test_missing_calls_and_ambiguous_bases_are_handled(name, kind, sets):
    train, _, test = sets[kind]
    rng = np.random.default_rng(2)

    def with_gaps(inputs):
        values = inputs.values.copy()
        gaps = rng.random(values.shape) < 0.1
        values[gaps] = np.nan if kind == "genotype" else 15
        if kind == "genotype":
            values[:, 3] = np.nan
        else:
            values[: len(values) // 2, -5:] = 0
        return replace(inputs, values=values)

    predictor = fit(name, Examples(inputs=with_gaps(train.inputs), y=train.y, groups=train.groups))
    assert np.isfinite(predictor.predict(with_gaps(test.inputs))).all()
    assert np.isfinite(predictor.predict(test.inputs)).all()
    empty = replace(test.inputs, values=np.full_like(test.inputs.values, np.nan if kind == "genotype" else 15))
    assert np.isfinite(predictor.predict(empty)).all()


@every_predictor
def test_another_width_or_kind_is_refused(name, sets):
    predictor = fitted(name, "sequence", sets)
    sequences = sets["sequence"][2].inputs
    with pytest.raises(PredictorError, match=r"40 bp.*39"):
        predictor.predict(replace(sequences, values=sequences.values[:, 1:]))
    with pytest.raises(PredictorError, match="sequence"):
        predictor.predict(Inputs(kind="genotype", values=np.zeros((3, 40), dtype=np.float32)))


@pytest.mark.parametrize("name", BASELINES)
def test_bad_training_sets_are_refused(name, sets, tmp_path):
    train, _, test = sets["genotype"]
    with pytest.raises(PredictorError, match="finite"):
        fit(name, Examples(inputs=train.inputs, y=np.where(np.arange(160) == 3, np.nan, train.y), groups=train.groups))
    with pytest.raises(PredictorError, match="weights must be positive and finite, got 160"):
        fit(name, replace(train, weights=np.zeros(160)))
    with pytest.raises(PredictorError, match=r"weights must have shape \(160,\)"):
        fit(name, replace(train, weights=np.ones(3)))
    with pytest.raises(PredictorError, match="at least 2"):
        fit(name, train.take(np.arange(1)))
    with pytest.raises(PredictorError, match="fit or load"):
        FACTORIES[name]("genotype").predict(test.inputs)
    with pytest.raises(PredictorError, match="no readable state"):
        PREDICTORS[name].load(tmp_path)


@pytest.mark.parametrize("name", [n for n in LEARNERS if n in BASELINES and hasattr(PREDICTORS[n], "linear_effects")])
@both_kinds
def test_linear_effects_are_the_slopes_of_the_prediction(name, kind, sets):
    _, _, test = sets[kind]
    predictor = fitted(name, kind, sets)
    effects = predictor.linear_effects()
    inputs = test.inputs.take(np.arange(1))
    if effects is None:
        pytest.fail("aligned sequences should be encoded by position here")
    width = inputs.width
    assert effects.shape == ((width, 4) if kind == "sequence" else (width,))
    other = inputs.values.copy()
    if kind == "sequence":
        old, new = int(np.log2(other[0, 20])), (int(np.log2(other[0, 20])) + 1) % 4
        other[0, 20] = 2**new
        expected = effects[20, new] - effects[20, old]
    else:
        expected = effects[20] * (1 - other[0, 20])
        other[0, 20] = 1
    slope = predictor.predict(replace(inputs, values=other))[0] - predictor.predict(inputs)[0]
    assert slope == pytest.approx(expected, abs=1e-9)
