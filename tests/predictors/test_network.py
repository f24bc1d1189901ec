import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.errors import InfeasibleError, PredictorError
from automl_pheno.predictors import load_predictor, make_predictor, save_predictor
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.space.config import ModelConfig

WIDTH = 20


def config(kind: str = "sequence", **fit: object) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "input": kind,
            "trunk": [{"block": "conv", "filters": 4, "kernel_size": 3, "dropout": 0.1}, {"block": "flatten"}],
            "head": [{"block": "dense", "units": 8}],
            "fit": {"max_epochs": 12, "batch_size": 32, "learning_rate": 0.01, **fit},
        }
    )


def sequences(n: int = 300, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    codes = (1 << rng.integers(0, 4, (n, WIDTH))).astype("uint8")
    y = 50.0 + 7.0 * ((codes == 4).sum(axis=1) - (codes == 1).sum(axis=1)) + rng.normal(size=n)
    return Examples(inputs=Inputs(kind="sequence", values=codes), y=y, groups=np.arange(n))


def genotypes(n: int = 300) -> Examples:
    rng = np.random.default_rng(1)
    dosage = rng.integers(0, 3, (n, WIDTH)).astype("float32")
    dosage[:, 3] = 1.0
    dosage[rng.random(dosage.shape) < 0.05] = np.nan
    variants = pd.DataFrame(
        {"id": [f"v{i}" for i in range(WIDTH)], "chromosome": "1", "position": range(WIDTH), "ref": "A", "alt": "C"}
    )
    y = 5.0 + np.nan_to_num(dosage) @ rng.normal(size=WIDTH)
    return Examples(inputs=Inputs(kind="genotype", values=dosage, variants=variants), y=y, groups=np.arange(n))


@pytest.mark.parametrize("examples", [sequences(), genotypes()], ids=["sequence", "genotype"])
def test_it_predicts_in_phenotype_units(examples: Examples) -> None:
    predictor = NetworkPredictor(config(examples.inputs.kind, max_epochs=25))
    rows = np.arange(240)
    summary = predictor.fit(examples.take(rows), examples.take(np.arange(240, 300)), rng=np.random.default_rng(0))
    predicted = predictor.predict(examples.take(np.arange(240, 300)).inputs)
    assert np.corrcoef(predicted, examples.y[240:])[0, 1] > 0.8
    assert abs(predicted.mean() - examples.y[240:].mean()) < examples.y.std()
    assert summary.curve[summary.best_epoch - 1]["val_pearson_r"] == max(e["val_pearson_r"] for e in summary.curve)


def test_the_plain_model_gives_the_prediction() -> None:
    examples = genotypes()
    predictor = NetworkPredictor(config("genotype"), epochs=3)
    predictor.fit(examples, rng=np.random.default_rng(0))
    outputs = np.asarray(predictor.model(predictor.encode(examples.inputs), training=False))[:, 0]
    np.testing.assert_allclose(
        outputs * predictor.y_sd + predictor.y_mean, predictor.predict(examples.inputs), rtol=1e-4
    )


def test_it_loads_in_a_fresh_process_and_keras_alone_loads_the_model(tmp_path: Path) -> None:
    examples = sequences()
    predictor = NetworkPredictor(config(), epochs=3)
    predictor.fit(examples, rng=np.random.default_rng(0))
    save_predictor(predictor, tmp_path, examples.inputs, trait="leaf")
    np.save(tmp_path / "codes.npy", examples.inputs.values)
    code = f"""
import numpy as np, keras, pathlib, sys
folder = pathlib.Path({str(tmp_path)!r})
model = keras.models.load_model(folder / "model.keras")
assert not any(m.startswith("automl_pheno") for m in sys.modules)
from automl_pheno.predictors import load_predictor
from automl_pheno.data.dataset import Inputs
inputs = Inputs(kind="sequence", values=np.load(folder / "codes.npy"))
np.save(folder / "again.npy", load_predictor(folder).predict(inputs))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "again.npy"), predictor.predict(examples.inputs), rtol=1e-5)


def test_an_impossible_configuration_is_refused_before_training() -> None:
    impossible = ModelConfig.model_validate(
        {"trunk": [{"block": "conv", "kernel_size": 25, "padding": "valid"}, {"block": "flatten"}]}
    )
    with pytest.raises(InfeasibleError, match="kernel_size 25"):
        NetworkPredictor(impossible, epochs=1).fit(sequences(), rng=np.random.default_rng(0))


def test_inputs_of_another_width_or_kind_are_refused() -> None:
    predictor = NetworkPredictor(config(), epochs=1)
    with pytest.raises(PredictorError, match="not fitted"):
        predictor.predict(sequences().inputs)
    predictor.fit(sequences(), rng=np.random.default_rng(0))
    with pytest.raises(PredictorError, match="20 bp, got sequence inputs of 19"):
        predictor.predict(Inputs(kind="sequence", values=sequences().inputs.values[:, 1:]))
    with pytest.raises(PredictorError, match="genotype"):
        predictor.predict(genotypes().inputs)
    with pytest.raises(PredictorError, match="genotype inputs"):
        NetworkPredictor(config("genotype"), epochs=1).fit(sequences(), rng=np.random.default_rng(0))


def test_it_needs_validation_rows_or_a_number_of_epochs() -> None:
    with pytest.raises(PredictorError, match="validation rows"):
        NetworkPredictor(config()).fit(sequences(), rng=np.random.default_rng(0))


def test_a_folder_without_a_predictor_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PredictorError, match="no saved predictor"):
        load_predictor(tmp_path)


def test_a_candidate_names_its_predictor() -> None:
    network = make_predictor({"name": "network", "config": config().model_dump(by_alias=True)}, metric="r2", epochs=7)
    assert isinstance(network, NetworkPredictor)
    assert (network.metric, network.epochs, network.config) == ("r2", 7, config())


def test_members_predict_their_mean_and_are_one_plain_model(tmp_path: Path) -> None:
    examples = genotypes()
    predictor = NetworkPredictor(config("genotype"), epochs=3, members=3)
    summary = predictor.fit(examples, rng=np.random.default_rng(0))
    one = NetworkPredictor(config("genotype"), epochs=3)
    single = one.fit(examples, rng=np.random.default_rng(0))
    assert summary.weights == 3 * single.weights
    assert np.abs(one.predict(examples.inputs) - predictor.predict(examples.inputs)).max() > 1e-3
    each = [part(predictor.encode(examples.inputs), training=False) for part in predictor.model.layers[1:4]]
    mean = np.mean([np.asarray(output)[:, 0] for output in each], axis=0) * predictor.y_sd + predictor.y_mean
    np.testing.assert_allclose(mean, predictor.predict(examples.inputs), rtol=1e-4)
    save_predictor(predictor, tmp_path, examples.inputs, trait="yield")
    np.testing.assert_allclose(
        load_predictor(tmp_path).predict(examples.inputs), predictor.predict(examples.inputs), rtol=1e-4
    )
