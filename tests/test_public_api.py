"""The public surface is exactly this, and it is lazy."""

from __future__ import annotations

import inspect

import pytest

import automl_pheno as ap

PUBLIC = [
    "AutoMLPhenoError",
    "Best",
    "Dataset",
    "Run",
    "__version__",
    "hypermodel",
    "hyperparameters",
    "load",
    "optuna_oracle",
    "read",
    "search",
]


def test_the_public_names_are_these() -> None:
    assert list(ap.__all__) == PUBLIC == sorted(PUBLIC)
    assert set(PUBLIC) <= set(dir(ap))


@pytest.mark.parametrize("name", PUBLIC)
def test_each_name_resolves_and_is_documented(name: str) -> None:
    member = getattr(ap, name)
    assert name == "__version__" or inspect.getdoc(member)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="serch"):
        _ = ap.serch  # type: ignore[attr-defined]
