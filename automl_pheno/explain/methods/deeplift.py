"""DeepLIFT-SHAP by rewriting a Keras graph with ``stop_gradient``; one gradient gives all multipliers.

Rows of every tensor are ``[samples ; references of sample 0 ; references of sample 1 ; ...]``. Each non-linear
layer is replaced by a function that has the layer's value but, on the reference rows, the slope between reference
and sample, so that the gradient at the references is the DeepLIFT multiplier (rescale rule, Shrikumar et al. 2017).
Only values and gradients are used: it compiles on every backend.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.methods.compiled import compile_gradient, in_batches

ROWS = 256


def deeplift_multipliers(
    model: Any, x: FloatArray, references: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the DeepLIFT multipliers of each pair of sample and reference.

    ``sum(multiplier * (sample - reference)) = output(sample) - output(reference)`` up to rounding.

    Parameters
    ----------
    model
        Functional or sequential ``keras.Model`` with one input and one output; nested models are walked too.
    x
        Encoded samples, float32, shape (n, width, channels).
    references
        Encoded references, float32, shape (n, n_references, width, channels).

    Returns
    -------
    multipliers
        Float32, shape (n, n_references, width, channels).
    outputs, reference_outputs
        Model outputs, shapes (n,) and (n, n_references).

    Raises
    ------
    UnsupportedLayerError
        A layer, or an operation between layers, has no rule.
    """
    from keras import ops

    from automl_pheno.explain.methods.layer_rules import check_layers, run

    check_layers(model)
    count = references.shape[1]

    def outputs(samples: Any, refs: Any) -> Any:
        rows = ops.concatenate([samples, ops.reshape(refs, (-1, *x.shape[1:]))], axis=0)
        y = ops.reshape(run(model, rows, count), (-1,))
        n = samples.shape[0]
        return ops.concatenate([ops.reshape(y[:n], (n, 1)), ops.reshape(y[n:], (n, count))], axis=1)

    gradient = compile_gradient(model, outputs, lambda y: ops.sum(y[:, 1:]))
    multipliers, y = in_batches(gradient, x, references, max(1, min(len(x), ROWS // (count + 1))))
    return np.asarray(multipliers), y[:, 0], y[:, 1:]
