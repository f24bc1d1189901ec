"""The part ``interactions``: what it measures for which data, and when it does not apply."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.explain.attribution import Attribution, at_bases
from automl_pheno.explain.parts.interactions import find_interactions
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest
from automl_pheno.predictors.gblup import GBLUP

COLUMNS = [
    "rank", "kind", "a", "b", "name_a", "name_b", "interaction", "abs_interaction", "sd", "se", "n", "p", "q",
    "attribution_interaction", "distance",
]  # fmt: skip


class Formula:
    kind = "formula"

    def __init__(self, function: Callable[[np.ndarray], np.ndarray]) -> None:
        self.function = function

    def predict(self, inputs: Inputs) -> np.ndarray:
        return np.asarray(self.function(inputs.values), dtype=np.float64)


def request(predictor: Any, inputs: Inputs, **changes: Any) -> PartRequest:
    n, width = inputs.values.shape
    contributions = np.random.default_rng(0).normal(size=(n, width))
    values = at_bases(contributions, inputs) if inputs.kind == "sequence" else contributions
    attribution = Attribution(
        inputs=inputs, ids=np.arange(n).astype(str), rows=np.arange(n), values=values, base_value=np.zeros(n),
        predictions=np.zeros(n), completeness=np.zeros(n), method="planted",
    )  # fmt: skip
    training = Examples(inputs=inputs, y=np.random.default_rng(1).normal(size=n), groups=np.arange(n))
    return replace(
        PartRequest(
            predictor=predictor, score=predictor.predict, attribution=attribution, training=training,
            ids=attribution.ids, columns=pd.DataFrame(index=attribution.ids), rng=np.random.default_rng(2),
        ),
        **changes,
    )  # fmt: skip


def aligned(n: int = 80, length: int = 30) -> Inputs:
    rng = np.random.default_rng(3)
    reference = rng.integers(0, 4, length)
    bases = np.where(rng.random((n, length)) < 0.1, rng.integers(0, 4, (n, length)), reference)
    return Inputs(kind="sequence", values=(1 << bases).astype(np.uint8))


def linked(n: int = 100, blocks: int = 12, size: int = 5) -> Inputs:
    rng = np.random.default_rng(4)
    values = np.repeat(rng.integers(0, 3, (n, blocks)), size, axis=1).astype(np.float32)
    p = blocks * size
    variants = pd.DataFrame({
        "id": [f"m{i}" for i in range(p)], "chromosome": "1", "position": np.arange(p) * 1000, "ref": "A", "alt": "C",
    })  # fmt: skip
    return Inputs(kind="genotype", values=values, variants=variants)


def test_aligned_sequences_are_measured_by_position() -> None:
    assert PARTS["interactions"] is find_interactions
    inputs = aligned()
    reference = np.array([np.bincount(column).argmax() for column in inputs.values.T])
    predictor = Formula(lambda codes: ((codes[:, 5] != reference[5]) & (codes[:, 20] != reference[20])) * 3.0)
    part = find_interactions(request(predictor, inputs))
    table = part.tables["interactions"]
    assert table.columns[: len(COLUMNS)].tolist() == COLUMNS
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert (table["kind"] == "positions").all()
    assert (table["name_a"].iloc[0], table["name_b"].iloc[0]) == ("6", "21")
    assert table["interaction"].iloc[0] == pytest.approx(3.0)
    arrays = part.arrays["interactions"]
    k = len(arrays["names"])
    assert arrays["matrix"].shape == arrays["attribution_matrix"].shape == arrays["strength"].shape == (k, k)
    assert np.isnan(np.diag(arrays["matrix"])).all()
    json.dumps(part.facts)
    assert part.notes


def test_linked_variants_are_measured_by_block() -> None:
    predictor = Formula(lambda x: x[:, 7] * x[:, 41])
    part = find_interactions(request(predictor, linked()))
    first = part.tables["interactions"].iloc[0]
    assert first["kind"] == "blocks"
    assert (first["a"], first["b"]) == (2, 9)
    assert first["name_a"] == "block 2 (m5-m9)"
    assert part.facts["places"] == 12


def test_sequences_that_are_not_aligned_need_motifs() -> None:
    rng = np.random.default_rng(5)
    inputs = Inputs(kind="sequence", values=(1 << rng.integers(0, 4, (60, 60))).astype(np.uint8))
    predictor = Formula(lambda codes: (codes == 1).sum(axis=1) ** 2.0)
    with pytest.raises(NotApplicableError, match="0 found by the part 'motifs'"):
        find_interactions(request(predictor, inputs))
    words = {1: "AAAAAA", 2: "CAACAA", 3: "CCGTCC"}
    done = {
        "motifs": Part(
            tables={
                "motifs": pd.DataFrame({"motif": list(words), "consensus": list(words.values())}),
                "motif_places": pd.DataFrame({"motif": [1, 1, 2], "start": [3, 9, 30], "strand": ["+", "-", "+"]}),
            },
            arrays={
                "motifs": {
                    f"frequencies_{number}": np.array([[float(base == b) for b in "ACGT"] for base in word])
                    for number, word in words.items()
                }
            },
        )
    }
    part = find_interactions(request(predictor, inputs, done=done))
    table = part.tables["interactions"]
    assert (table["kind"] == "motifs").all()
    assert (table["a"].iloc[0], table["b"].iloc[0]) == (1, 2)
    assert table["distance"].iloc[0] == 27  # 4th and 30th base: where they were found, on the strand as written


def test_effects_that_add_up_by_form_do_not_apply() -> None:
    inputs = linked()
    predictor = GBLUP()
    asked = request(predictor, inputs)
    predictor.fit(asked.training, rng=np.random.default_rng(0))
    with pytest.raises(NotApplicableError, match="add up by its form"):
        find_interactions(asked)


def test_one_variant_does_not_apply() -> None:
    inputs = linked(blocks=1, size=1)
    with pytest.raises(NotApplicableError, match="two places"):
        find_interactions(request(Formula(lambda x: x[:, 0]), inputs))


def test_the_same_seed_gives_the_same_table() -> None:
    asked = [request(Formula(lambda x: x[:, 7] * x[:, 41]), linked()) for _ in range(2)]
    a, b = (find_interactions(one).tables["interactions"] for one in asked)
    pd.testing.assert_frame_equal(a, b)
