"""Rules of attention: products, and softmax as a chain."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from automl_pheno.explain.methods.layer_rules import slopes
from automl_pheno.explain.methods.layer_rules.linear import einsum_dense
from automl_pheno.explain.methods.layer_rules.rules import refuse, rule, softmax, weight
from automl_pheno.explain.methods.layer_rules.tape import Paired, Tape

Tensor = Any
_MASKED = -1e9


def _only(layer: Any, options: dict[str, Any], *allowed: str) -> None:
    for name, value in options.items():
        if name in allowed or name == "training":
            continue
        given = any(part is not None for part in value) if isinstance(value, list) else value not in (None, False)
        if given:
            raise refuse(layer, f" called with {name}")


def _causal(tape: Tape, scores: Paired) -> Paired:
    keep = np.tril(np.ones(scores.shape[-2:], dtype=bool))
    return tape.linear(lambda t: ops.where(keep, t, _MASKED), scores)


def _attend(tape: Tape, scores: Paired, value: Paired, options: dict[str, Any]) -> Paired:
    if options.get("use_causal_mask"):
        scores = _causal(tape, scores)
    return tape.product(softmax(tape, scores), value, ops.matmul)


def _added(tape: Tape, query: Paired, key: Paired, scale: Tensor | None) -> Paired:
    total = tape.linear(lambda q, k: ops.expand_dims(q, -2) + ops.expand_dims(k, -3), query, key)
    if scale is not None:
        total = tape.linear(lambda t: t * scale, total)
    return tape.elementwise(ops.tanh, slopes.smooth(ops.tanh), total)


@rule("Attention")
def attention(layer: Any, tape: Tape, z: list[Paired], **options: Any) -> Paired:
    """Return dot-product attention (or the ``concat`` mode's) of query, value and key."""
    _only(layer, options, "use_causal_mask")
    query, value, key = z[0], z[1], z[-1] if len(z) > 2 else z[1]
    scale = weight(layer.scale) if layer.scale is not None else None
    if layer.score_mode == "concat":
        factor = weight(layer.concat_score_weight)
        scores = tape.linear(lambda t: factor * ops.sum(t, axis=-1), _added(tape, query, key, scale))
    else:
        scores = tape.product(query, key, lambda q, k: ops.matmul(q, ops.swapaxes(k, -2, -1)))
        if scale is not None:
            scores = tape.linear(lambda t: t * scale, scores)
    return _attend(tape, scores, value, options)


@rule("AdditiveAttention")
def additive_attention(layer: Any, tape: Tape, z: list[Paired], **options: Any) -> Paired:
    """Return attention by the sum of tanh(query + key)."""
    _only(layer, options, "use_causal_mask")
    query, value, key = z[0], z[1], z[-1] if len(z) > 2 else z[1]
    scale = weight(layer.scale) if layer.use_scale else 1.0
    scores = tape.linear(lambda t: ops.sum(scale * t, axis=-1), _added(tape, query, key, None))
    return _attend(tape, scores, value, options)


def _plain_heads(layer: Any) -> str:
    if getattr(layer, "_use_gate", False):
        return " with a gate"
    if getattr(layer, "_sliding_window", None) is not None:
        return " with a sliding window"
    if getattr(layer, "quantization_mode", None) is not None:
        return " with quantised weights"
    return ""


@rule("MultiHeadAttention", limit=_plain_heads)
def multi_head_attention(
    layer: Any, tape: Tape, query: Paired, value: Paired, key: Paired | None = None, *masks: Any, **options: Any
) -> Paired:
    """Return attention of several heads over the layer's attention axes."""
    if any(mask is not None for mask in masks):
        raise refuse(layer, " called with a mask")
    _only(layer, options)
    q = einsum_dense(layer._query_dense, tape, query)
    k = einsum_dense(layer._key_dense, tape, value if key is None else key)
    v = einsum_dense(layer._value_dense, tape, value)
    size = float(layer._key_dim) ** -0.5
    q = tape.linear(lambda t: t * size, q, transpose=lambda g: g * size)
    scores = tape.product(k, q, lambda a, b: ops.einsum(layer._dot_product_equation, a, b))
    last = tuple(range(-len(layer._attention_axes), 0))
    heads = tape.product(softmax(tape, scores, last), v, lambda a, b: ops.einsum(layer._combine_equation, a, b))
    return einsum_dense(layer._output_dense, tape, heads)
