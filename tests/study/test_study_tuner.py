"""Search spaces, networks and Optuna in KerasTuner's terms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import automl_pheno as ap
from automl_pheno.data.dataset import Inputs
from automl_pheno.errors import StudyError
from automl_pheno.metrics import METRICS
from automl_pheno.space import from_values, network_size, parse_space, sample

SPACE = parse_space("""
schema: 1
name: tiny
trunk:
  - block: gate
  - block: conv
    filters: {values: [4, 8]}
    kernel_size: {min: 3, max: 7, step: 2}
    pooling: {values: [none, max]}
    pool_size: {values: [2, 30], when: {trunk.1.pooling: max}}
    dropout: {min: 0.0, max: 0.3, step: 0.1}
  - block: flatten
fit:
  optimizer: {values: [adam, adamw, sgd, rmsprop]}
  learning_rate: {min: 1.0e-3, max: 1.0e-2, log: true}
  loss: huber
  schedule: cosine
  warmup_epochs: 1
  clip_norm: 1.0
  l2: 0.01
  l1: 0.001
  gate_l1: 0.1
  batch_size: {values: [16, 32]}
  max_epochs: 4
  patience: 2
""")

pytestmark = [
    pytest.mark.slow,  # KerasTuner imports TensorFlow
    # KerasTuner 1.4.8 uses threading's old name, and loads weights without those of the optimizer
    pytest.mark.filterwarnings("ignore:(currentThread|getName).. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading:UserWarning"),
]


@pytest.fixture(scope="module")
def keras_tuner():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TensorFlow, when it is loaded
        import keras_tuner
    return keras_tuner


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = np.eye(4, dtype="float32")[rng.integers(0, 4, (120, 20))]
    y = x[:, 3, 1] + x[:, 7, 2] + 0.1 * rng.normal(size=120)
    return x, ((y - y.mean()) / y.std()).astype("float32")


def test_a_width_is_needed_and_must_suit(keras_tuner):
    with pytest.raises(StudyError, match="give width, or data"):
        ap.hypermodel(SPACE)
    with pytest.raises(StudyError, match="genotypes"):
        ap.hypermodel(SPACE, data=Inputs(kind="genotype", values=np.zeros((2, 3), "float32")))
    codes = Inputs(kind="sequence", values=np.ones((2, 20), "uint8"))
    assert ap.hypermodel(SPACE, data=codes).width == 20


def test_the_model_is_that_of_the_values(keras_tuner):
    hp = ap.hyperparameters(SPACE)
    hp.values.update({"fit.optimizer": "sgd", "trunk.1.filters": 8, "trunk.1.dropout": 0.2})
    model = ap.hypermodel(SPACE, width=20).build(hp)
    config = sample(SPACE, from_values(hp.values))
    assert model.count_params() == network_size(config, 20).weights + 40  # the gate's mean and variance, which stay
    assert type(model.optimizer).__name__ == "SGD"
    assert model.optimizer.global_clipnorm == 1.0
    penalties = sum(float(loss) for loss in model.losses)
    kernels = [v for v in model.trainable_variables if v.path.endswith("kernel")]
    expected = sum(0.01 * float((k.numpy() ** 2).sum()) + 0.001 * float(abs(k.numpy()).sum()) for k in kernels) + 0.1
    assert penalties == pytest.approx(expected, rel=1e-5)  # gates are 1 at the start, so their mean is


def test_an_impossible_network_is_a_failed_trial(keras_tuner):
    hp = ap.hyperparameters(SPACE)
    hp.values.update({"trunk.1.pooling": "max", "trunk.1.pool_size": 30})
    with pytest.raises(keras_tuner.errors.FailedTrialError):
        ap.hypermodel(SPACE, width=20).build(hp)


def test_the_metric_is_pearsons(keras_tuner):
    from automl_pheno.training.compiled_model import PearsonR

    rng = np.random.default_rng(1)
    y, p = rng.normal(size=100).astype("float32"), rng.normal(size=100).astype("float32")
    metric = PearsonR()
    metric.update_state(y[:30, None], p[:30, None])
    metric.update_state(y[30:, None], p[30:, None])
    assert float(metric.result()) == pytest.approx(METRICS["pearson_r"].function(y, p), abs=1e-5)


def test_the_learning_rate_follows_the_schedule(keras_tuner, data):
    import keras

    from automl_pheno.training.compiled_model import compiled_model, fit_compiled
    from automl_pheno.training.schedule import learning_rate

    config = sample(SPACE, from_values(ap.hyperparameters(SPACE).values))
    model = compiled_model(config, 20)
    seen = []

    class See(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    history = fit_compiled(config, model, *data, callbacks=[See()], monitor="val_mse", verbose=0, validation_split=0.2)
    steps = -(-96 // config.fit.batch_size)
    assert len(history.history["loss"]) <= 4
    for number, rate in enumerate(seen):
        epoch, step = divmod(number, steps)
        ends = learning_rate(config.fit, epoch), learning_rate(config.fit, epoch + 1)
        assert rate == pytest.approx(ends[0] + (ends[1] - ends[0]) * step / steps, rel=1e-5)


@pytest.mark.parametrize("tuner", ["Hyperband", "RandomSearch", "BayesianOptimization"])
def test_plain_tuners_of_keras_tuner_run(keras_tuner, data, tuner, tmp_path):
    x, y = data
    options = {"max_epochs": 2} if tuner == "Hyperband" else {"max_trials": 3}
    made = getattr(keras_tuner, tuner)(
        ap.hypermodel(SPACE, width=20), objective=keras_tuner.Objective("val_pearson_r", "max"), directory=tmp_path,
        project_name="p", seed=1, max_consecutive_failed_trials=50, **options,
    )  # fmt: skip
    made.search(x[:80], y[:80], validation_data=(x[80:], y[80:]), verbose=0)
    best = made.get_best_hyperparameters()[0]
    values = {name: value for name, value in best.values.items() if not name.startswith("tuner/")}
    sample(SPACE, from_values(values))
    assert made.get_best_models()[0].predict(x[:3], verbose=0).shape == (3, 1)


# -- the oracle ------------------------------------------------------------------------------------------------------


def oracle(keras_tuner, path, space=SPACE, **options):
    options = {"objective": keras_tuner.Objective("score", "max"), "max_trials": 8, **options}
    made = ap.optuna_oracle(space, **options)
    made.verbose = 0
    made._set_project_dir(str(path), "p")
    return made


def finish(made, trial, value, steps=2):
    for step in range(steps):
        made.update_trial(trial.trial_id, {"score": value - (steps - step)}, step=step)
    made.update_trial(trial.trial_id, {"score": value}, step=steps)
    trial.status = "COMPLETED"
    made.end_trial(trial)


def test_trials_of_the_oracle_are_those_of_the_study(keras_tuner, tmp_path):
    made = oracle(keras_tuner, tmp_path)
    first, second = made.create_trial("a"), made.create_trial("b")
    assert made.create_trial("a").trial_id == first.trial_id
    assert [t.state.name for t in made.study.get_trials()] == ["RUNNING", "RUNNING"]
    finish(made, first, 1.0)
    second.status = "FAILED"
    made.end_trial(second)
    one, two = made.study.get_trials()
    assert (one.state.name, one.value, one.intermediate_values) == ("COMPLETE", 1.0, {0: -1.0, 1: 0.0, 2: 1.0})
    assert two.state.name == "FAIL"
    assert one.params == first.hyperparameters.values
    sample(SPACE, from_values(one.params))


def test_the_oracle_is_taken_up_after_a_kill(keras_tuner, tmp_path):
    import optuna

    made = oracle(keras_tuner, tmp_path)
    finish(made, made.create_trial("a"), 0.5)
    running = made.create_trial("a")
    made.study.ask().set_user_attr("keras_tuner_trial", "0009")  # asked for, and killed before it was written down
    again = oracle(keras_tuner, tmp_path)
    again.reload()
    assert [t.state.name for t in again.study.get_trials()] == ["COMPLETE", "RUNNING", "FAIL"]
    retried = again.create_trial("b")
    assert retried.trial_id == running.trial_id
    finish(again, retried, 0.7)
    while (trial := again.create_trial("b")).status == "RUNNING":
        finish(again, trial, 0.1)
    states = [t.state.name for t in again.study.get_trials()]
    assert (states.count("COMPLETE"), states.count("RUNNING")) == (8, 0)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "p" / "optuna_journal.log"))
    )
    assert optuna.load_study(study_name="keras-tuner", storage=storage).best_value == 0.7


def test_a_script_may_declare_its_hyperparameters_as_it_goes(keras_tuner, tmp_path):
    class Tuner(keras_tuner.Tuner):
        def run_trial(self, trial):
            hp = trial.hyperparameters
            x = hp.Float("x", -2.0, 2.0)
            kind = hp.Choice("kind", ["square", "power"])
            with hp.conditional_scope("kind", ["power"]):
                power = hp.Int("power", 2, 4) if kind == "power" else 2
            flag, size = hp.Boolean("flag"), hp.Int("size", 1, 64, step=2, sampling="log")
            return abs(x) ** power + (0 if flag else 0.1) + size / 1000 + hp.Fixed("fixed", 0)

    made = ap.optuna_oracle(max_trials=15, storage=f"sqlite:///{tmp_path}/x.db", seed=3, engine="random")
    tuner = Tuner(made, directory=tmp_path, project_name="p")
    tuner.oracle.verbose = 0
    tuner.search()
    trials = tuner.oracle.study.get_trials()
    assert [t.state.name for t in trials] == ["COMPLETE"] * 15
    assert {"x", "kind", "power", "flag", "size"} == {name for t in trials for name in t.params}
    # the first trials find the hyperparameters, so that they were not asked for
    assert all(t.params["kind"] == "power" for t in trials if "power" in t.params)


def test_an_engine_must_be_of_optuna(keras_tuner):
    with pytest.raises(StudyError, match="none of Optuna's"):
        ap.optuna_oracle(SPACE, engine="keras-tuner/random")
