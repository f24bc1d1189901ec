"""Layers of the training twin: what training varies or must find by name."""

from __future__ import annotations

from typing import Any

import keras


class VariableDropout(keras.layers.Layer):  # type: ignore[misc]  # keras has no type information
    """Inverted dropout (Srivastava et al. 2014) with its rate in a non-trainable weight called ``rate``.

    Parameters
    ----------
    rate
        Initial rate, 0 <= rate < 1.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._initial_rate = rate
        self.seed_generator = keras.random.SeedGenerator(0)

    def build(self, input_shape: Any) -> None:
        """Create the rate."""
        del input_shape
        # not cast with the layer's inputs: half precision would round the rate
        self.rate = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self._initial_rate),
            trainable=False,
            autocast=False,
            name="rate",
        )

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002  # Keras passes it by this name
        """Drop inputs while training; else return them."""
        if not training:
            return inputs
        rate = keras.ops.convert_to_tensor(self.rate)
        draws = keras.random.uniform(keras.ops.shape(inputs), seed=self.seed_generator)
        return inputs * keras.ops.cast(draws >= rate, inputs.dtype) / keras.ops.cast(1.0 - rate, inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of the input."""
        return input_shape


class PositionGate(keras.layers.BatchNormalization):  # type: ignore[misc]  # keras has no type information
    """One weight a position, starting at 1; the layer's class tells training which weights ``gate_l1`` holds small.

    With L2 on the kernels that follow, an L1 penalty on the gates acts as a group lasso over positions (Yuan and
    Lin 2006): a position that does not help is switched off with all that reads it.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(axis=1, center=False, epsilon=1e-7, **kwargs)

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:  # noqa: FBT001, FBT002
        """Weigh the positions; batch statistics are never used."""
        del training
        return super().call(inputs, training=False, mask=mask)
