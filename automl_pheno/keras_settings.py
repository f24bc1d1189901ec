"""What of Keras' configuration belongs to us, so that nobody's ``keras.json`` or environment changes a result.

Keras has settings of the whole process: it reads ``~/.keras/keras.json`` and variables when it is imported, and a
program may change them later. Layers are built with all that matters named (``networks/blocks.py``). For the rest,
processes of our own start with `own_environment`, and in a process of the user's `held_settings` holds Keras' settings
while we compute, and gives them back.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping

from automl_pheno.errors import StudyError

BACKENDS = ("tensorflow", "jax")
DEFAULT_BACKEND = "tensorflow"

_SETTINGS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
_OWN: Mapping[str, str] = {
    # No keras.json can lie there, and none is written.
    "KERAS_HOME": os.devnull,
    "KERAS_NNX_ENABLED": "false",
    # Each of these would compute in other types, or draw other random numbers, than the configuration says.
    "TF_ENABLE_AUTO_MIXED_PRECISION": "0",
    "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
    "DNNL_DEFAULT_FPMATH_MODE": "STRICT",
    "JAX_ENABLE_X64": "false",
    "JAX_NUMPY_DTYPE_PROMOTION": "standard",
    "JAX_DEFAULT_PRNG_IMPL": "threefry2x32",
}


def own_environment(backend: str | None = None) -> dict[str, str]:
    """Return the variables with which a process of our own starts; they must be there before Keras is imported.

    Parameters
    ----------
    backend
        Of Keras; None where it is not decided yet.
    """
    return {**_OWN, **({} if backend is None else {"KERAS_BACKEND": backend})}


def load_keras(backend: str) -> str:
    """Import Keras on `backend`; return the one it has, which is another where the process had imported it before.

    The variables of the process are afterwards what they were: they are the user's.

    Raises
    ------
    StudyError
        Keras refuses the user's ``keras.json``.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        ours = {"KERAS_BACKEND": backend, "KERAS_NNX_ENABLED": "false"}
        kept = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        try:
            importlib.import_module("keras")
        except ValueError as error:
            msg = f"Keras cannot be imported: {error}; mend ~/.keras/keras.json (the command line does without it)"
            raise StudyError(msg) from error
        finally:
            for name, value in kept.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
    return loaded_backend()


def loaded_backend() -> str:
    """Return the backend of Keras in this process; "" where it is not imported."""
    keras = sys.modules.get("keras")
    return str(keras.config.backend()) if keras is not None and hasattr(keras, "config") else ""


@contextlib.contextmanager
def held_settings() -> Iterator[None]:
    """Hold Keras' settings at those that our networks are made for; also a decorator.

    They are float type, fuzz factor, data format and the policy of types. Where Keras is not imported there is nothing
    to hold.
    """
    keras = sys.modules.get("keras")
    if keras is None or not hasattr(keras, "config"):  # or it is only half imported
        yield
        return
    config = keras.config
    kept = {name: getattr(config, name)() for name in _SETTINGS}
    policy = config.dtype_policy()
    try:
        _set(config, _SETTINGS)
        if policy.name != "float32":
            config.set_dtype_policy("float32")
        yield
    finally:
        _set(config, kept)
        if policy.name != "float32":
            config.set_dtype_policy(policy)


def _set(config: object, values: Mapping[str, object]) -> None:
    for name, value in values.items():
        getattr(config, f"set_{name}")(value)
