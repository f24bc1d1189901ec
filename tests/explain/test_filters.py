"""Filters of known weights: their PWMs, places and what the network loses without them, on both backends."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.data.encode import one_hot
from automl_pheno.explain.attribution import Attribution, at_bases
from automl_pheno.explain.motifs.filters import cosines, driving_windows, filter_report, filter_table, similar
from automl_pheno.explain.motifs.first_layer import Nullifier, first_layers
from automl_pheno.explain.motifs.meme import read_meme
from automl_pheno.explain.motifs.pwm import consensus, frequencies_of, likeness
from automl_pheno.explain.parts.filters import filters
from automl_pheno.explain.parts.protocol import NotApplicableError, PartRequest
from automl_pheno.networks import average
from automl_pheno.predictors.mean import Mean

TATA, BOX = "TATAAA", "GCCACG"
pytestmark = pytest.mark.backend
LENGTH = 40


def bits(motif: str) -> np.ndarray:
    return np.array([1 << "ACGT".index(base) for base in motif], dtype=np.uint8)


def detector(motif: str) -> np.ndarray:
    """Return weights that give 1 for each base that agrees, shape (width, 4)."""
    return np.eye(4)[["ACGT".index(base) for base in motif]]


def network(motifs: tuple[str, ...], effects: tuple[float, ...], padding: str = "valid", gate: bool = False):
    """Return the sum of effects of motifs that are present in whole; a motif "" is a filter that nothing drives."""
    inputs = keras.Input((LENGTH, 4))
    x = layers.BatchNormalization(axis=1, center=False, epsilon=1e-7)(inputs) if gate else inputs
    conv = layers.Conv1D(len(motifs), 6, padding=padding)
    x = layers.Activation("relu")(conv(x))
    dense = layers.Dense(1)
    model = keras.Model(inputs, dense(layers.Dropout(0.5)(layers.GlobalMaxPooling1D()(x))))
    kernel = np.zeros((6, 4, len(motifs)), dtype=np.float32)
    for number, motif in enumerate(motifs):
        kernel[:, :, number] = detector(motif) if motif else -1.0
    conv.set_weights([kernel, np.full(len(motifs), -5.0, dtype=np.float32)])
    dense.set_weights([np.array(effects, dtype=np.float32)[:, None], np.zeros(1, dtype=np.float32)])
    return model


def sequences(n: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return codes, and which have the TATA box and which the other motif."""
    rng = np.random.default_rng(0)
    codes = (1 << rng.integers(0, 4, (n, LENGTH))).astype(np.uint8)
    for row in range(n):
        for start, (motif, share) in zip((0, 20), ((TATA, 0.5), (BOX, 0.3)), strict=True):
            if rng.random() < share:
                at = start + rng.integers(0, 14)
                codes[row, at : at + 6] = bits(motif)
    has = [
        np.array([any((row[i : i + 6] == bits(m)).all() for i in range(LENGTH - 5)) for row in codes])
        for m in (TATA, BOX)
    ]
    return codes, *has


def test_what_is_lost_without_a_filter_is_what_it_explains() -> None:
    codes, tata, box = sequences()
    model = network((TATA, BOX, ""), (2.0, 1.0, 5.0))
    y = 2.0 * tata + 1.0 * box
    report = filter_report(first_layers(model), one_hot(codes), y)
    assert report.r2 == pytest.approx(1.0, abs=1e-5)
    assert report.silent == 1
    first, second = report.filters
    assert [consensus(one.frequencies) for one in report.filters] == [TATA, BOX]
    # the TATA box set to its mean activation at each position: its maximum over positions is one number
    spread = ((y - y.mean()) ** 2).sum()
    mean = np.array([(codes[:, i : i + 6] == bits(TATA)).all(axis=1).mean() for i in range(LENGTH - 5)]).max()
    without = 2.0 * mean + 1.0 * box
    assert first.nullification == pytest.approx(((y - without) ** 2).sum() / spread, abs=1e-4)
    assert first.nullification_r == pytest.approx(1.0 - np.corrcoef(y, box)[0, 1], abs=1e-4)
    assert second.nullification < first.nullification
    assert first.n_windows == sum(int((codes[:, i : i + 6] == bits(TATA)).all(axis=1).sum()) for i in range(LENGTH - 5))
    assert first.mean_activation == pytest.approx(first.n_windows / (300 * (LENGTH - 5)), rel=1e-4)
    assert first.group != second.group


def test_with_little_time_the_filters_that_matter_most_are_nullified() -> None:
    codes, tata, box = sequences()
    layers_ = first_layers(network((BOX, TATA), (0.1, 2.0)))
    y = 2.0 * tata + 0.1 * box
    few, all_of_them = (filter_report(layers_, one_hot(codes), y, most=most) for most in (1, None))
    assert [consensus(one.frequencies) for one in few.filters] == [TATA, BOX]
    assert few.filters[0].nullification == all_of_them.filters[0].nullification
    assert few.filters[0].first_order > 5 * few.filters[1].first_order
    assert np.isnan(few.filters[1].nullification)
    assert np.isnan(few.group_nullification[few.filters[1].group])


def test_copies_of_a_filter_stand_in_for_each_other_until_all_are_taken() -> None:
    codes, tata, _ = sequences()
    ensemble = average([network((TATA, BOX), (2.0, 0.0)), network((BOX, TATA), (0.0, 2.0), "same", gate=True)])
    found = first_layers(ensemble)
    assert [layer.member for layer in found] == [0, 1]
    assert [layer.left for layer in found] == [0, 2]
    report = filter_report(found, one_hot(codes), 2.0 * tata)
    table = filter_table(report)
    assert table["group"].nunique() == 2
    boxes = table[table["consensus"] == TATA]
    assert sorted(zip(boxes["member"], boxes["channel"], strict=True)) == [(0, 0), (1, 1)]
    assert (boxes["group_size"] == 2).all()
    assert (boxes["group_nullification"] > boxes["nullification"] + 0.3).all()
    assert (table.loc[table["consensus"] == BOX, "nullification"].abs() < 1e-6).all()
    assert table["filter"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("padding", "stride", "dilation"), [("valid", 1, 1), ("same", 1, 1), ("same", 3, 1), ("causal", 1, 2)]
)
def test_windows_are_where_the_filter_looks(padding: str, stride: int, dilation: int) -> None:
    codes, _, _ = sequences(60)
    codes[:20, 30:] = 0
    inputs = keras.Input((LENGTH, 4))
    conv = layers.Conv1D(1, 4, padding=padding, strides=stride, dilation_rate=dilation, activation="relu")
    model = keras.Model(inputs, layers.Dense(1)(layers.Flatten()(layers.MaxPooling1D(2)(conv(inputs)))))
    kernel = np.random.default_rng(1).normal(size=(4, 4, 1)).astype(np.float32)
    conv.set_weights([kernel, np.zeros(1, dtype=np.float32)])
    (layer,) = first_layers(model)
    x = one_hot(codes)
    nullifier = Nullifier(layer, x)
    np.testing.assert_allclose(nullifier.outputs([]), np.asarray(model(x))[:, 0], rtol=1e-4, atol=1e-5)
    ((counts, n),) = driving_windows(layer, nullifier.activations, x)
    # every window of the sequences that the stride visits, scored by hand
    cuts, scores = [], []
    span = 3 * dilation + 1
    starts = np.arange(layer.positions) * stride - layer.left
    for row in range(60):
        for start in starts:
            end = start + span
            if start < 0 or end > (30 if row < 20 else LENGTH):
                continue
            window = x[row, start:end]
            cuts.append(window)
            scores.append(max(float((window[::dilation] * kernel[:, :, 0]).sum()), 0.0))
    strong = np.array(scores) > 0.5 * max(scores)
    assert n == strong.sum()
    np.testing.assert_allclose(counts, np.array(cuts)[strong].sum(axis=0))


def test_similar_filters_are_grouped_whatever_strand_and_shift() -> None:
    pwms = [frequencies_of(detector(motif) * 50) for motif in ("TATAAA", "CTATAAAG", "TTTATA", "GCCACG", "CGTGGCT")]
    assert similar(pwms).tolist() == [1, 1, 1, 2, 2]
    expected = [[likeness(a - 0.25, b - 0.25) for b in pwms] for a in pwms]
    np.testing.assert_allclose(cosines(pwms), expected, atol=1e-9)
    assert similar(pwms[:1]).tolist() == [1]


class Network:
    """A predictor like the fitted network."""

    kind = "network"
    y_mean, y_sd = 3.0, 2.0

    def __init__(self, model: object) -> None:
        self.model = model

    def encode(self, inputs: Inputs) -> np.ndarray:
        return one_hot(inputs.values)


def request(predictor: object, inputs: Inputs, y: np.ndarray) -> PartRequest:
    n = len(inputs)
    values = (
        at_bases(np.zeros((n, inputs.width)), inputs) if inputs.kind == "sequence" else np.zeros(inputs.values.shape)
    )
    attribution = Attribution(
        inputs=inputs, ids=np.arange(n).astype(str), rows=np.arange(n), values=values, base_value=np.zeros(n),
        predictions=np.zeros(n), completeness=np.zeros(n), method="none",
    )  # fmt: skip
    return PartRequest(
        predictor=predictor, score=lambda rows: np.zeros(len(rows)), attribution=attribution,  # type: ignore[arg-type]
        training=Examples(inputs=inputs, y=y, groups=np.arange(n)), ids=attribution.ids,
        columns=pd.DataFrame(index=attribution.ids), rng=np.random.default_rng(0),
    )  # fmt: skip


def test_the_part_and_where_it_does_not_apply() -> None:
    codes, tata, box = sequences()
    inputs = Inputs(kind="sequence", values=codes)
    y = 3.0 + 2.0 * (2.0 * tata + box)
    part = filters(request(Network(network((TATA, BOX, ""), (2.0, 1.0, 0.0))), inputs, y))
    assert part.facts["r2"] == pytest.approx(1.0, abs=1e-5)
    assert part.facts["silent"] == 1
    assert part.tables["filters"]["consensus"].tolist() == [TATA, BOX]
    read = read_meme(part.texts["filters.meme"])
    np.testing.assert_allclose(read[0].frequencies, part.arrays["filters"]["frequencies_1"], atol=1e-5)
    flat = keras.Sequential([keras.Input((LENGTH, 4)), layers.Flatten(), layers.Dense(1)])
    with pytest.raises(NotApplicableError, match="does not begin with a convolution"):
        filters(request(Network(flat), inputs, y))
    with pytest.raises(NotApplicableError, match="the predictor is 'mean'"):
        filters(request(Mean(), inputs, y))
    dosages = Inputs(kind="genotype", values=np.zeros((4, 3), dtype=np.float32))
    with pytest.raises(NotApplicableError, match="genotypes"):
        filters(request(Network(flat), dosages, np.zeros(4)))


def test_a_sequential_network_is_read_too() -> None:
    conv = layers.Conv1D(2, 6, activation="relu")
    model = keras.Sequential([keras.Input((LENGTH, 4)), conv, layers.GlobalMaxPooling1D(), layers.Dense(1)])
    (layer,) = first_layers(model)
    x = one_hot(sequences(20)[0])
    np.testing.assert_allclose(Nullifier(layer, x).outputs([]), np.asarray(model(x))[:, 0], rtol=1e-4, atol=1e-5)
