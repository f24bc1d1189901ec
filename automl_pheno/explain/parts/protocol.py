"""A part of an explanation: one question about a fitted predictor, answered as tables, arrays and facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from automl_pheno.data.dataset import Examples, StrArray
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.registry import ExplainError
from automl_pheno.explain.scoring import Score
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.registry import Registry


class NotApplicableError(ExplainError):
    """A part does not apply to this predictor or these data, or lacks a package; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """What one part found.

    Attributes
    ----------
    tables
        Name -> table, written as ``NAME.csv`` and ``NAME.parquet``.
    arrays
        Name -> arrays, written as ``NAME.npz``.
    texts
        File name -> content (MEME, bedGraph).
    facts
        JSON-ready: settings, sizes, errors, thresholds. Goes into the manifest under the name of the part.
    notes
        Sentences for the user.
    """

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counterpart:
    """The best finalist of the other kind: a baseline beside a network, a network beside a baseline."""

    name: str
    predictor: Predictor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartRequest:
    """What a part gets.

    Attributes
    ----------
    predictor
        Fitted; a `CuratedPredictor` where the study curates.
    score
        Its predictions, quickly, see `score_function`.
    attribution
        Contributions of the explained samples.
    training
        All samples it was fitted on, with their trait. The sealed test set is never among them.
    ids, columns
        Of the training samples: ids, shape (n,), and other columns (index = ids; for intervals ``chromosome, start,
        end, strand``).
    rng
        Of this part alone, so that leaving a part out does not change the others.
    done
        Parts that ran before, by name.
    fresh
        Makes an unfitted predictor of the same configuration, for refits; None where that is not known.
    refits
        Wanted number of refits, where a part trains the predictor again; 0 is none.
    counterpart
        See `Counterpart`; None where there is none.
    """

    predictor: Predictor
    score: Score
    attribution: Attribution
    training: Examples
    ids: StrArray
    columns: pd.DataFrame
    rng: np.random.Generator
    done: Mapping[str, Part] = field(default_factory=dict)
    fresh: Callable[[], Predictor] | None = None
    refits: int = 3
    counterpart: Counterpart | None = None


PartMaker = Callable[[PartRequest], Part]

PARTS: Registry[PartMaker] = Registry("part of an explanation")
"""Every part by name, in the order in which they run; raises `NotApplicableError` where it has nothing to say."""
