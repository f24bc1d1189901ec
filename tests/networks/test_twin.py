import keras
import numpy as np

from automl_pheno.networks.twin import VariableDropout


def test_the_rate_is_a_variable() -> None:
    layer = VariableDropout(0.5)
    x = np.ones((200, 100), "float32")
    layer(x)
    for rate in (0.0, 0.25, 0.8):
        layer.rate.assign(rate)
        y = keras.ops.convert_to_numpy(layer(x, training=True))
        assert abs((y == 0).mean() - rate) < 0.01
        np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_nothing_is_dropped_at_inference() -> None:
    x = np.ones((5, 5), "float32")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(VariableDropout(0.9)(x)), x)
