"""The contract of a training backend; runs on the backend that KERAS_BACKEND names.

``test_training_backends.py`` runs this file again on the other one.
"""

import math
from dataclasses import replace

import keras
import numpy as np
import pytest

from automl_pheno.data.encode import one_hot
from automl_pheno.errors import TrainingError
from automl_pheno.networks import build
from automl_pheno.space.config import ModelConfig
from automl_pheno.training import Checkpoint, TrainingData, train
from automl_pheno.training.backend import compiled
from automl_pheno.training.program import Structure, dropout_rates, hyper_values

N, WIDTH = 330, 24


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = (1 << rng.integers(0, 4, (N, WIDTH))).astype("uint8")
    y = one_hot(x).reshape(N, -1) @ rng.normal(size=WIDTH * 4)
    return x, ((y - y.mean()) / y.std()).astype("float32")


def make(trunk: list | None = None, head: list | None = None, **fit: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "trunk": trunk or [{"block": "conv", "filters": 8, "kernel_size": 3}, {"block": "flatten"}],
            "head": head or [{"block": "dense", "units": 16}],
            "fit": {"max_epochs": 6, "batch_size": 32, "learning_rate": 0.003, **fit},
        }
    )


def fit(config: ModelConfig, data: tuple[np.ndarray, np.ndarray], seed: int = 1, **options: object):
    x, y = data
    rows = TrainingData(x=x[:250], y=y[:250], validation=x[250:])
    if "epochs" not in options:
        options.setdefault("monitor", lambda p: {"monitor": -float(np.mean((p - y[250:]) ** 2))})
    return train(config, rows, rng=np.random.default_rng(seed), **options)


def test_it_learns(data) -> None:
    result = fit(make(max_epochs=25), data)
    assert np.corrcoef(result.predict(data[0][250:]), data[1][250:])[0, 1] > 0.8
    assert result.curve[-1]["loss"] < 0.5 * result.curve[0]["loss"]


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(data) -> None:
    config = make(head=[{"block": "dense", "units": 8, "dropout": 0.4}])
    first, second, other = fit(config, data), fit(config, data), fit(config, data, seed=2)
    np.testing.assert_array_equal(first.predict(data[0]), second.predict(data[0]))
    assert np.abs(first.predict(data[0]) - other.predict(data[0])).max() > 1e-3


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_the_plain_model_predicts_the_same(data, normalization: str) -> None:
    config = make(
        trunk=[
            {"block": "conv", "filters": 4, "kernel_size": 3, "normalization": normalization, "dropout": 0.2},
            {"block": "flatten"},
        ],
    )
    result = fit(config, data)
    model = build(config, WIDTH)
    model.set_weights(result.weights)
    plain = keras.ops.convert_to_numpy(model(one_hot(data[0][:40]), training=False))[:, 0]
    np.testing.assert_allclose(plain, result.predict(data[0][:40]), atol=1e-5)


def test_early_stopping_restores_the_best_weights(data) -> None:
    """The weights of epoch 2 are those of a training that had only two epochs."""
    values = iter([0.1, 0.9, 0.5, 0.4, 0.3, 0.2])
    config = make(patience=3)
    stopped = fit(config, data, monitor=lambda p: {"monitor": next(values)})
    short = fit(config, data, epochs=2)
    assert (stopped.stopped, stopped.best_epoch, len(stopped.curve)) == ("early", 2, 5)
    np.testing.assert_array_equal(stopped.predict(data[0]), short.predict(data[0]))


def test_a_report_can_stop_it(data) -> None:
    seen = []

    def report(epoch: int, values) -> bool:
        seen.append((epoch, values["loss"]))
        return epoch == 3

    result = fit(make(), data, report=report)
    assert result.stopped == "pruned"
    assert [epoch for epoch, _ in seen] == [1, 2, 3]


@pytest.mark.parametrize("values", [[0.1, 0.5, 0.3, 0.6, 0.7, 0.2], [0.9, 0.5, 0.4, 0.3, 0.2, 0.1]])
def test_going_on_is_the_same_as_never_having_stopped(data, values: list[float], tmp_path) -> None:
    """Over two stops and the disk: weights, optimizer, dropout, order of samples, schedule, patience, history."""
    config = make(head=[{"block": "dense", "units": 8, "dropout": 0.4}], schedule="cosine", patience=3)

    def monitor(epochs: list[float]):
        left = iter(epochs)
        return lambda p: {"monitor": next(left), "val_loss": float(np.mean((p - data[1][250:]) ** 2))}

    whole = fit(config, data, monitor=monitor(values))
    first = fit(config, data, monitor=monitor(values), until=2)
    assert len(first.curve) == 2
    first.checkpoint.save(tmp_path / "first.npz")
    told = []
    second = fit(
        config, data, seed=99, monitor=monitor(values[2:]), until=3, start=Checkpoint.load(tmp_path / "first.npz"),
        report=lambda epoch, point: bool(told.append(epoch)),
    )  # fmt: skip
    assert (second.began, told) == (2, [1, 2, 3])
    second.checkpoint.save(tmp_path / "second.npz")
    third = fit(
        config, data, seed=98, monitor=monitor(values[3:]), until=6, start=Checkpoint.load(tmp_path / "second.npz")
    )
    assert third.curve == whole.curve
    assert (third.best_epoch, third.stopped) == (whole.best_epoch, whole.stopped)
    np.testing.assert_array_equal(third.predict(data[0]), whole.predict(data[0]))
    for ours, theirs in zip(third.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = fit(config, data, monitor=monitor(values), until=6, start=third.checkpoint)  # nothing is left to train
    assert again.curve == whole.curve
    np.testing.assert_array_equal(again.predict(data[0]), whole.predict(data[0]))


def test_a_checkpoint_of_another_network_is_not_used(data) -> None:
    start = fit(make(), data, until=1).checkpoint
    other = fit(make(head=[{"block": "dense", "units": 17}]), data, until=2, start=start)
    assert other.began == 0
    assert len(other.curve) == 2


def test_a_loss_that_is_not_finite_is_an_error(data) -> None:
    with pytest.raises(TrainingError, match="epoch"):
        fit(make(optimizer="sgd", learning_rate=10.0, momentum=0.9, max_epochs=20), data)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_each_optimizer_lowers_each_loss(data, optimizer: str, loss: str) -> None:
    rate = 0.05 if optimizer == "sgd" else 0.003
    result = fit(make(optimizer=optimizer, loss=loss, learning_rate=rate, max_epochs=8), data)
    assert result.curve[-1]["loss"] < 0.9 * result.curve[0]["loss"]


def test_the_first_loss_is_that_of_the_initial_network(data) -> None:
    """With a learning rate of almost nothing, an epoch only measures: the loss is known in closed form."""
    x, y = data
    config = make(learning_rate=1e-12, batch_size=25, max_epochs=1)
    rows = TrainingData(x=x[:250], y=y[:250], validation=x[:0])
    result = train(config, rows, rng=np.random.default_rng(3), epochs=1)
    expected = np.mean((result.predict(x[:250]) - y[:250]) ** 2)
    assert math.isclose(result.curve[0]["loss"], expected, rel_tol=1e-4)


def test_weights_of_one_change_nothing_and_a_weight_counts_as_so_many_samples(data) -> None:
    x, y = data
    rows = TrainingData(x=x[:250], y=y[:250], validation=x[250:])
    plain = fit(make(), data, epochs=6)
    ones = train(make(), replace(rows, weights=np.ones(250, "float32")), rng=np.random.default_rng(1), epochs=6)
    np.testing.assert_allclose(ones.predict(x), plain.predict(x), atol=1e-4)
    # one full batch of plain SGD: a weight of 2 is the same as a sample that stands twice
    full = make(optimizer="sgd", learning_rate=0.01, batch_size=100)
    weights = np.where(np.arange(100) < 50, 2.0, 1.0).astype("float32")
    weighted = TrainingData(x=x[:100], y=y[:100], validation=x[:0], weights=weights * 100 / weights.sum())
    twice = np.concatenate([np.arange(100), np.arange(50)])
    copies = TrainingData(x=x[twice], y=y[twice], validation=x[:0])
    a = train(full, weighted, rng=np.random.default_rng(3), epochs=6)
    b = train(make(optimizer="sgd", learning_rate=0.01, batch_size=150), copies, rng=np.random.default_rng(3), epochs=6)
    np.testing.assert_allclose(a.predict(x), b.predict(x), atol=1e-4)


def test_penalties_shrink_the_kernels_only(data) -> None:
    plain = {"optimizer": "sgd", "learning_rate": 0.02, "max_epochs": 10}
    free = fit(make(**plain), data, epochs=10)
    for penalty in ({"l2": 0.5}, {"l1": 0.1}):
        tied = fit(make(**plain, **penalty), data, epochs=10)
        assert np.abs(tied.weights[0]).sum() < 0.5 * np.abs(free.weights[0]).sum()
    # the bias of the output is free to be the mean: with every kernel at 0 the prediction is a constant near it
    x, y = data
    tied = train(
        make(**{**plain, "l2": 5.0}),
        TrainingData(x=x[:250], y=y[:250] + 3.0, validation=x[:0]),
        rng=np.random.default_rng(0),
        epochs=30,
    )
    np.testing.assert_allclose(tied.predict(x), y[:250].mean() + 3.0, atol=0.25)


def test_gates_find_the_few_positions_that_matter(data) -> None:
    """A product of two positions among 24, the rest is noise: the penalty switches the others off."""
    x, _ = data
    rng = np.random.default_rng(5)
    effect = rng.normal(size=(2, 16))
    y = effect[0][x[:, 4]] * effect[1][x[:, 17]]
    y = ((y - y.mean()) / y.std()).astype("float32")
    config = make(
        trunk=[{"block": "gate"}, {"block": "flatten"}],
        head=[{"block": "dense", "units": 16, "activation": "gelu"}],
        max_epochs=60, learning_rate=0.01, schedule="cosine", l2=1e-4, gate_l1=0.3,
    )  # fmt: skip
    result = train(config, TrainingData(x=x, y=y, validation=x[:0]), rng=np.random.default_rng(0), epochs=60)
    gates = np.abs(result.weights[0])
    assert set(np.argsort(gates)[-2:]) == {4, 17}
    assert np.sort(gates)[-3] < 0.2 * np.sort(gates)[-2]


def test_a_clipped_gradient_moves_the_weights_less(data) -> None:
    start = fit(make(optimizer="sgd", learning_rate=1e-9), data, epochs=1)
    free = fit(make(optimizer="sgd", learning_rate=0.05), data, epochs=1)
    clipped = fit(make(optimizer="sgd", learning_rate=0.05, clip_norm=0.01), data, epochs=1)

    def moved(result) -> float:
        return sum(float(np.abs(a - b).sum()) for a, b in zip(result.weights, start.weights, strict=True))

    assert moved(clipped) < 0.2 * moved(free)


def test_configurations_of_one_structure_share_a_compilation() -> None:
    def structure(config: ModelConfig) -> Structure:
        return Structure.of(config, WIDTH)

    head = [{"block": "dense", "units": 8, "dropout": 0.1}]
    a = make(head=head, learning_rate=0.1, l2=0.1, momentum=0.1)
    b = make(head=[{**head[0], "dropout": 0.4}], learning_rate=0.2, l2=0.2, momentum=0.3, patience=2, max_epochs=9)
    assert structure(a) == structure(b)
    assert compiled(structure(a))[1] is compiled(structure(b))[1]
    assert hyper_values(a) != hyper_values(b)
    assert dropout_rates(b) == [0.4]
    others = (
        make(head=head, l2=0.1, batch_size=16),
        make(head=head, l2=0.0),
        make(head=[{**head[0], "units": 9}], l2=0.1),
    )
    for other in others:
        assert structure(other) != structure(a)


def test_the_dropout_rate_is_that_of_the_configuration_not_of_the_shared_structure(data) -> None:
    """With almost everything dropped, nothing can be learnt, whatever the compiled network was built with."""
    low = make(head=[{"block": "dense", "units": 32, "dropout": 0.01}], max_epochs=12)
    high = make(head=[{"block": "dense", "units": 32, "dropout": 0.97}], max_epochs=12)
    assert fit(low, data).curve[-1]["loss"] < 0.5 * fit(high, data).curve[-1]["loss"]


def test_fewer_samples_than_a_batch_and_odd_sizes_work(data) -> None:
    x, y = data
    for n in (1, 7, 33):
        rows = TrainingData(x=x[:n], y=y[:n], validation=x[:0])
        result = train(make(), rows, rng=np.random.default_rng(0), epochs=2)
        assert result.predict(x[:5]).shape == (5,)


def test_more_rows_than_a_chunk_are_predicted_in_order(data) -> None:
    result = fit(make(), data, epochs=1)
    many = np.concatenate([data[0]] * 4)
    np.testing.assert_allclose(result.predict(many)[N : 2 * N], result.predict(data[0]), atol=1e-6)
