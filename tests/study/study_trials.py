"""Trial functions without Keras, imported by name inside the slots."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path


def quadratic(task, report):
    """Score -(x - 3)^2 with a curve that rises towards it; ``sleep`` seconds an epoch."""
    params = task.get("params", {})
    final = -((params.get("x", 0.0) - 3.0) ** 2)
    epochs = task.get("epochs", 5)
    for epoch in range(1, epochs + 1):
        time.sleep(task.get("sleep", 0.0))
        if report(epoch, final - (epochs - epoch)):
            return {"state": "pruned", "value": final - (epochs - epoch), "epochs": epoch}
    return {
        "state": "complete",
        "value": final,
        "scores": {"pearson_r": final},
        "epochs": epochs,
        "best_epoch": epochs,
        "weights": 7,
    }


def die(task, report):
    os.kill(os.getpid(), signal.SIGKILL)


def by_filters(task, report):
    """Score the number of filters and the learning rate; instant."""
    config = task["candidate"].get("config")
    value = 0.5 if config is None else config["trunk"][0]["filters"] / 100 + config["fit"]["learning_rate"]
    for epoch in range(1, 4):
        if report(epoch, value - (3 - epoch) * 0.01):
            return {"state": "pruned", "epochs": epoch}
    return {
        "state": "complete",
        "value": value,
        "scores": {"pearson_r": value},
        "weights": 10,
        "epochs": 3,
        "best_epoch": 2,
    }


def by_size(task, report):
    """Score rises with the filters, best at a kernel of 11 and a learning rate of 0.01; instant."""
    params = task["params"]
    value = params["trunk.1.filters"] / 64 - abs(params["trunk.1.kernel_size"] - 11) / 20
    value -= abs(math.log10(params["fit.learning_rate"]) + 2)
    report(1, value)
    return {"state": "complete", "value": value, "scores": {"r2": value}, "epochs": 1, "best_epoch": 1}


def broken(task, report):
    return {"state": "complete", "value": 1 / 0}


def sometimes_broken(task, report):
    if int(task["id"].split("#")[1]) % 4:
        msg = "three of four fail"
        raise ValueError(msg)
    return by_filters(task, report)


def not_a_number(task, report):
    return {"state": "complete", "value": float("nan")}


def slow(task, report):
    return quadratic({**task, "epochs": 20}, report)


def interrupt_second(task, report):
    if task["id"].endswith("#2"):
        os.kill(os.getpid(), signal.SIGINT)
    return by_filters(task, report)


def interrupt_twice(task, report):
    if task["id"].endswith("#2"):
        interrupt_twice_always(task, report)
    return by_filters(task, report)


def interrupt_twice_always(task, report):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)


def folds(task, report):
    values = [0.1, 0.5, 0.3]
    for fold in range(3):
        report(fold + 1, sum(values[: fold + 1]) / (fold + 1))
    return {"state": "complete", "value": sum(values) / 3}


def marked(task, report):
    """Leave a file with the slot's process id, then sleep through three epochs."""
    name = task["id"].split("#")[0]
    Path(task["marks"], f"{name}.{time.monotonic_ns()}").write_text(str(os.getpid()))
    value = task["candidate"].get("config", {"trunk": [{"filters": 0}]})["trunk"][0]["filters"] / 64
    for epoch in range(1, 4):
        time.sleep(task["sleep"])
        if report(epoch, value):
            return {"state": "pruned", "epochs": epoch}
    return {"state": "complete", "value": value, "epochs": 3}


def refit(task, report):
    """Predict the sealed trait with noise of a given size; leave a file as a saved predictor would."""
    import numpy as np

    from automl_pheno.data import load_dataset

    noise = task["candidate"]["noise"]
    if noise < 0:
        msg = "noise must not be negative"
        raise ValueError(msg)
    y = load_dataset(Path(task["run"]) / "sealed_test.npz").y("yield")
    folder = Path(task["run"]) / "finalists" / task["folder"]
    folder.mkdir()
    (folder / "who.txt").write_text(f"{task['candidate']['name']} {task['epochs']}")
    predictions = y + noise * np.random.default_rng(task["seed"]).normal(size=len(y))
    return {"state": "complete", "predictions": predictions.tolist(), "weights": 5, "epochs": task["epochs"]}


def with_predictions(task, report):
    """End complete with held-out predictions of three samples, one of them never validated on."""
    import numpy as np

    from automl_pheno.study.out_of_fold import pack

    outcome = by_filters(task, report)
    number = 0.0 if "config" not in task["candidate"] else float(task["candidate"]["config"]["trunk"][0]["filters"])
    return {**outcome, "held_out": pack(np.array([number, np.nan, 1.0])), "validation_calibration": {"slope": 1.5}}


def hungry(task, report):
    """Take 24 MiB for each sample of a batch."""
    taken = bytearray(24 * 2**20 * task["candidate"]["config"]["fit"]["batch_size"])
    taken[::4096] = b"x" * len(taken[::4096])
    time.sleep(1.0)
    return {"state": "complete", "value": len(taken) / 2**40}
