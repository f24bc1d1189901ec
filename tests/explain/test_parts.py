"""Parts run in order, each with random numbers of its own, and one that fails does not take the others along."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.errors import UnknownNameError
from automl_pheno.explain.parts import NotApplicableError, Part, PartRequest, run_parts
from automl_pheno.explain.parts import run as module
from automl_pheno.registry import Registry


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the registry by four parts, and keep what they draw."""
    parts: Registry[Any] = Registry("part of an explanation")
    seen: dict[str, Any] = {}

    @parts.add("first")
    def first(request: PartRequest) -> Part:
        seen["first"] = request.rng.random()
        return Part(facts={"x": 1}, notes=("first was here",))

    @parts.add("absent")
    def absent(request: PartRequest) -> Part:
        msg = "not for these data"
        raise NotApplicableError(msg)

    @parts.add("broken")
    def broken(request: PartRequest) -> Part:
        return Part(facts={"x": 1 / 0})

    @parts.add("last")
    def last(request: PartRequest) -> Part:
        seen["last"], seen["done"] = request.rng.random(), list(request.done)
        return Part()

    monkeypatch.setattr(module, "PARTS", parts)
    return seen


def request() -> PartRequest:
    inputs = Inputs(kind="sequence", values=np.ones((2, 3), np.uint8))
    return PartRequest(
        predictor=None, score=None, attribution=None, ids=np.array(["a", "b"]), columns=pd.DataFrame(),  # type: ignore[arg-type]
        training=Examples(inputs=inputs, y=np.zeros(2), groups=np.arange(2)), rng=np.random.default_rng(0),
    )  # fmt: skip


def test_a_part_that_fails_leaves_the_others(drawn: dict[str, Any]) -> None:
    heard: list[str] = []
    parts = run_parts(request(), seed=5, hear=heard.append)
    assert list(parts.found) == drawn["done"] + ["last"] == ["first", "last"]
    assert parts.left_out == {"absent": "not for these data"}
    assert "ZeroDivisionError" in parts.failed["broken"]
    assert parts.notes[0] == "first was here"
    assert "'broken'" in parts.notes[1]
    assert heard == ["first", "absent", "broken", "last"]


def test_leaving_a_part_out_does_not_change_the_others(drawn: dict[str, Any]) -> None:
    run_parts(request(), seed=5)
    whole = dict(drawn)
    run_parts(request(), ["last"], seed=5)
    assert drawn["last"] == whole["last"] != whole["first"]
    assert drawn["done"] == []
    assert run_parts(request(), [], seed=5).found == {}


def test_an_unknown_part_is_refused_with_a_guess(drawn: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="first"):
        run_parts(request(), ["frist"], seed=5)
