"""Nothing of the user's Keras configuration or environment changes a result: the numbers are equal to the last bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import automl_pheno as ap
from automl_pheno.cli import main
from automl_pheno.data import Examples, Inputs
from automl_pheno.keras_settings import held_settings, load_keras, own_environment
from automl_pheno.predictors.network import NetworkPredictor
from automl_pheno.space.config import ModelConfig
from automl_pheno.study.replay import find_record
from automl_pheno.study.slots.config import ClusterConfig
from automl_pheno.study.slots.jobqueue import environment as job_environment
from automl_pheno.study.slots.machine import Machine, slot_environment
from automl_pheno.study.start_up import refuse_other_backend

HOSTILE = {"floatx": "float64", "epsilon": 0.1, "backend": "torch", "image_data_format": "channels_first"}
BROKEN = {**HOSTILE, "epsilon": 1}  # with which Keras cannot be imported
N, LENGTH = 60, 30
SPACE = """\
input: sequence
trunk:
- {block: conv, filters: {values: [4, 6]}, kernel_size: 5, normalization: batch, pooling: max, dropout: 0.1}
- {block: gate}
- {block: flatten, pooling: average}
head: [{block: dense, units: 4}]
fit: {max_epochs: 2, batch_size: 16}
"""
CONFIG = {"input": "sequence", "trunk": [{"block": "flatten"}], "head": []}
EXAMPLES = Examples(
    inputs=Inputs(kind="sequence", values=np.ones((4, 6), np.uint8)), y=np.arange(4.0), groups=np.arange(4)
)
SEARCH = {
    "space": "space.yaml", "data": "promoters.csv", "trait": "leaf", "trials": 1, "baselines": [], "workers": 0,
    "explain": False, "groups": ["random"], "finalists": 1, "members": 1, "out": "run",
}  # fmt: skip
# runs in the folder of the data; `old` is a predictor as it was saved before layers named their data format
SCRIPT = """
import json, os, sys
import numpy as np
import automl_pheno as ap
from automl_pheno.study.replay import find_record

reference, search = sys.argv[1], json.loads(sys.argv[2])
sequences = [line.split(",")[1] for line in open("promoters.csv").read().splitlines()[1:]]
loaded = ap.load(reference).predict(sequences)
import keras
keras.config.set_dtype_policy("mixed_float16")
run = ap.search(**search)
best = run.best
plain = keras.models.load_model(f"{best.path}/model.keras", compile=False)
explanation = best.explain(sequences[:6], samples=6)
hypermodel = ap.hypermodel("space.yaml", width=30)
model = hypermodel.build(ap.hyperparameters("space.yaml"))
codes = best.predictor.encode(best.samples(sequences).inputs)
print(json.dumps({
    "loaded": [float(value).hex() for value in loaded],
    "old": [float(value).hex() for value in ap.load("old").predict(sequences)],
    "predicted": [float(value).hex() for value in best.predict(sequences)],
    "explained": [float(value).hex() for value in np.asarray(explanation.values).ravel()],
    "plain": np.abs(np.asarray(plain(codes)) - np.asarray(best.model(codes))).max().item(),
    "validation": find_record(run.path, 0).value,
    "formats": sorted({layer.data_format for layer in plain.layers if hasattr(layer, "data_format")}),
    "types": sorted({layer.dtype_policy.name for layer in (*plain.layers, *model.layers) if layer.weights}),
    "backend": keras.config.backend(),
    "user": [keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format(),
             keras.config.dtype_policy().name, os.environ["KERAS_BACKEND"]],
}))
"""


def configured(home: Path, **variables: str) -> dict[str, str]:
    """Return an environment whose home has a hostile ``keras.json``, and what else may lie about in it."""
    own = {*own_environment(), "KERAS_BACKEND", "LC_ALL", "PYTHONHASHSEED"}
    kept = {name: value for name, value in os.environ.items() if name not in own}
    hostile = {
        "HOME": str(home), "KERAS_BACKEND": "torch", "TF_USE_LEGACY_KERAS": "1", "KERAS_NNX_ENABLED": "true",
        "PYTHONHASHSEED": "7", "LC_ALL": "C", "JAX_ENABLE_X64": "1", "PYTHONPATH": str(Path(ap.__file__).parents[1]),
    }  # fmt: skip
    return {**kept, **hostile, **variables}


def write_home(folder: Path, settings: dict[str, Any]) -> Path:
    (folder / ".keras").mkdir(parents=True)
    (folder / ".keras" / "keras.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data, a run made under the settings of this process, and its winner as runs once had it."""
    folder = tmp_path_factory.mktemp("configured")
    rng = np.random.default_rng(4)
    sequences = ["".join(row) for row in rng.choice(list("ACGT"), (N, LENGTH))]
    y = [text.count("A") - text[:8].count("G") + rng.normal() / 9 for text in sequences]
    pd.DataFrame({"id": [f"p{i}" for i in range(N)], "sequence": sequences, "leaf": y}).to_csv(
        folder / "promoters.csv", index=False
    )
    (folder / "space.yaml").write_text(SPACE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run = ap.search(**SEARCH)
        (folder / "old").mkdir()
        for file in run.best.path.iterdir():
            (folder / "old" / file.name).write_bytes(file.read_bytes())
        header = json.loads((folder / "old" / "predictor.json").read_text())
        (folder / "old" / "predictor.json").write_text(
            json.dumps({name: header[name] for name in ("kind", "input", "width", "trait")})
        )
        as_it_was(run.best.model).save(folder / "old" / "model.keras")
    return folder


def as_it_was(model: keras.Model) -> keras.Model:
    """Return the model with layers that were given neither data format nor type, as earlier versions built them."""

    def plain(layer: Any) -> Any:
        config = {name: value for name, value in layer.get_config().items() if name not in ("data_format", "dtype")}
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=plain)
    copy.set_weights(model.get_weights())
    return copy


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the reference is made on TensorFlow")
def test_a_hostile_configuration_changes_no_bit_of_search_prediction_and_explanation(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    best = ap.load("run")
    sequences = pd.read_csv("promoters.csv")["sequence"].tolist()
    expected = [float(value).hex() for value in best.predict(sequences)]
    contributions = np.asarray(best.explain(sequences[:6], samples=6).values).ravel()
    search = {**SEARCH, "out": str(tmp_path / "again")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(place / "run"), json.dumps(search)],
        env=configured(write_home(tmp_path / "home", HOSTILE)),
        cwd=place,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["backend"] == "tensorflow"
    assert found["validation"] == find_record(place / "run", 0).value
    assert found["loaded"] == found["old"] == found["predicted"] == expected
    assert found["explained"] == [float(value).hex() for value in contributions]
    assert found["plain"] == 0.0
    assert found["formats"] == ["channels_last"]
    assert found["types"] == ["float32"]
    # what the user set is as it was
    assert found["user"] == ["float64", 0.1, "channels_first", "mixed_float16", "torch"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_keras_json_that_keras_cannot_read_stops_no_verb(place: Path, tmp_path: Path) -> None:
    environment = configured(write_home(tmp_path / "home", BROKEN))

    def run(*words: str) -> None:
        code = "import sys; from automl_pheno.cli import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            env=environment, cwd=place, capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]

    out = str(tmp_path / "slots")
    run("search", "--space", "space.yaml", "--data", "promoters.csv", "--trait", "leaf", "--trials", "1",
        "--baselines", "none", "--workers", "1", "--no-explain", "--group-by", "random", "--finalists", "1",
        "--out", out)  # fmt: skip
    run("predict", out, "promoters.csv", "-o", str(tmp_path / "p.csv"))
    # a slot has as many threads as cores, so that sums are rounded in another order
    assert find_record(Path(out), 0).value == pytest.approx(find_record(place / "run", 0).value, abs=0.01)


def test_each_process_of_our_own_starts_without_the_users_configuration() -> None:
    machine = Machine(cores=2, gpus=(), memory=2**30)
    found = slot_environment(0, 1, machine, "jax")
    assert found["KERAS_BACKEND"] == "jax"
    assert own_environment("jax").items() <= found.items()
    assert own_environment("jax").items() <= job_environment(ClusterConfig(kind="slurm"), "jax").items()
    assert not Path(own_environment()["KERAS_HOME"], "keras.json").exists()
    before = dict(os.environ)
    try:
        assert main(["--version"]) == 0
        assert own_environment().items() <= os.environ.items()
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_settings_are_given_back_also_after_an_error() -> None:
    keras.config.set_image_data_format("channels_first")
    try:
        with held_settings():
            assert keras.config.image_data_format() == "channels_last"
        with pytest.raises(ap.AutoMLPhenoError, match="needs validation rows"):
            NetworkPredictor(ModelConfig.model_validate(CONFIG)).fit(EXAMPLES, rng=np.random.default_rng(0))
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format("channels_last")


def test_a_process_that_has_keras_on_another_backend_is_told_what_to_do() -> None:
    loaded = keras.backend.backend()
    assert load_keras("torch") == loaded
    with pytest.raises(ap.AutoMLPhenoError, match=rf"this process has Keras on {loaded}; use workers: 1 or more"):
        refuse_other_backend("torch")
