"""How much memory a training needs: the arithmetic, and the process of a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from automl_pheno.space.config import ModelConfig
from automl_pheno.space.size import network_size, training_memory

MIB = 2**20
MEASURE = """
import json, sys, threading, time
import numpy as np, psutil
from automl_pheno.rng import generator
from automl_pheno.space.config import ModelConfig
from automl_pheno.training.train import TrainingData, train

def run(config, width, rows):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, (rows, width)).astype(np.uint8)
    data = TrainingData(x=x, y=rng.normal(size=rows).astype(np.float32), validation=x[:512])
    train(config, data, rng=generator(0), monitor=lambda _: {"monitor": 0.0})

small = {"trunk": [{"block": "flatten"}], "fit": {"max_epochs": 1}}
run(ModelConfig.model_validate(small), 50, 64)  # what TensorFlow needs once
process = psutil.Process()
before = peak = process.memory_info().rss
over = threading.Event()

def watch():
    global peak
    while not over.is_set():
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.002)

thread = threading.Thread(target=watch)
thread.start()
run(ModelConfig.model_validate_json(sys.argv[1]), 1000, 600)
over.set()
thread.join()
print(json.dumps(peak - before))
"""


def config(*, filters=8, units=16, **fit):
    return ModelConfig.model_validate(
        {
            "trunk": [{"block": "conv", "filters": filters, "kernel_size": 9}, {"block": "flatten"}],
            "head": [{"block": "dense", "units": units}],
            "fit": {"max_epochs": 2, **fit},
        }
    )


def estimate(model, width=1000):
    return training_memory(model, network_size(model, width))


def test_the_estimate_grows_with_what_a_training_holds():
    usual = estimate(config())
    assert estimate(config(batch_size=1024)) > usual
    assert estimate(config(filters=64)) > usual
    assert estimate(config(units=512)) > usual
    assert estimate(config(units=512, optimizer="sgd")) < estimate(config(units=512))
    assert estimate(config(batch_size=1024, precision="mixed_bfloat16")) < estimate(config(batch_size=1024))


def test_the_states_of_a_wide_network_rule():
    """Adam: the built network, and weights with two moments going in, coming out, initial and best: 13 times."""
    model = config(units=1024)
    size = network_size(model, 1000)
    activations = 4 * 512 * (8000 + 8000)  # validation in chunks of 512: convolution and flatten
    assert estimate(model) == 13 * 4 * size.weights + activations + 30 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("model", [config(filters=48), config(units=1024), config(filters=32, batch_size=256)])
def test_a_real_training_needs_about_as_much(model):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, model.model_dump_json(by_alias=True)],
        capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    measured = json.loads(done.stdout)
    assert 0.5 * measured < estimate(model) < 2.0 * measured
