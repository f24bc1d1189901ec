"""Relatives: every two samples are compared by their genotypes. Families, where a column names them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from automl_pheno.data import Dataset
from automl_pheno.errors import SplitError, known_names
from automl_pheno.splits.genotype_pairs import Compared, TooManyPairsError, compare_genotypes
from automl_pheno.splits.groups import GROUPINGS, Found, by_column, column_of, refuse_argument
from automl_pheno.splits.markers import FEW_MARKERS, Markers, choose_markers, genotype_codes
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.thresholds import (
    IBS_LADDER,
    KINSHIP_LADDER,
    MEASURES,
    ChosenEstimator,
    Estimator,
    choose_estimator,
)

FAMILY_COLUMNS = ("family", "fid", "pedigree", "family_id", "pop_family")
"""Columns, in lower case, that name families; the first of these that the data have is taken."""

MOST_PAIRS = 30_000_000
"""More pairs than this are not held: they would say that everybody is related to everybody."""

_LADDERS: dict[Estimator, tuple[float, ...]] = {"king": KINSHIP_LADDER, "ibs": IBS_LADDER}
_BOUNDS: dict[Estimator, tuple[float, float]] = {"king": (0.0, 0.5), "ibs": (0.5, 1.0), "grm": (0.0, 1.0)}
_EXAMPLES: dict[Estimator, str] = {"king": "king=0.0884", "ibs": "ibs=0.95", "grm": "grm=0.5"}
_UNCERTAIN_SHARED = 100  # calls that two samples share, below which their similarity is mostly noise


@GROUPINGS.add("relatedness")
def relatedness(dataset: Dataset, argument: str | None = None) -> Found:
    """Find the pairs of relatives among all pairs of samples.

    Parameters
    ----------
    dataset
        Genotypes of n samples.
    argument
        None: estimator and threshold from the data. A number: the threshold. ``king``, ``ibs``: the estimator.
        ``king=0.0884``, ``ibs=0.95``, ``grm=0.5``: both.

    Returns
    -------
    Found
        Labels of single samples, and pairs from the threshold on; the ladder is empty where the user stated one.

    Raises
    ------
    SplitError
        Not genotypes, a malformed argument, or more than 30 million pairs.
    """
    if dataset.kind != "genotype":
        msg = "groups: 'relatedness' needs genotypes, and these data are sequences; for these use similarity"
        raise SplitError(msg)
    chosen, stated = _asked(dataset, argument)
    rungs = _LADDERS[chosen.estimator] if stated is None else (stated,)
    markers = choose_markers(dataset.inputs)
    try:
        compared = compare_genotypes(genotype_codes(dataset.inputs, markers), chosen.estimator, rungs, most=MOST_PAIRS)
    except TooManyPairsError as error:
        raise SplitError(_too_many(error, chosen.estimator, rungs[-1])) from None
    name = MEASURES[chosen.estimator]
    pairs = Pairs(
        first=compared.first,
        second=compared.second,
        similarity=compared.similarity,
        measure=name,
        threshold=compared.threshold,
        ladder=tuple(rung for rung in rungs if rung > compared.threshold),
    )
    n = len(dataset)
    guarantee = (
        f"every pair of the {n:,} samples ({n * (n - 1) // 2:,} pairs) was compared at {len(markers):,} markers "
        f"({markers.rule}); all {len(pairs):,} pairs with {name} >= {compared.threshold:g} are known"
    )
    return Found(
        labels=np.arange(n, dtype=np.int64),
        pairs=pairs,
        guarantee=guarantee,
        facts=_facts(dataset, chosen, markers, compared),
        notes=(*_notes(dataset, chosen, markers, compared, stated), *markers.notes),
    )


@GROUPINGS.add("family")
def family(dataset: Dataset, argument: str | None = None) -> Found:
    """Group by the first column called family, fid, pedigree, family_id or pop_family; without a value, alone."""
    refuse_argument("family", argument)
    lower = {str(name).lower(): str(name) for name in reversed(dataset.columns.columns)}
    name = next((lower[one] for one in FAMILY_COLUMNS if one in lower), None)
    if name is None:
        known = [str(one) for one in dataset.columns.columns]
        msg = (
            f"groups: 'family' needs a column called {', '.join(FAMILY_COLUMNS[:-1])} or {FAMILY_COLUMNS[-1]}; "
            f"{known_names('family', known)}; column:NAME groups by any other"
        )
        raise SplitError(msg)
    values = column_of(dataset, name, "groups")
    # PLINK writes 0 where there is no family
    values = values.mask(values.isin(["", "0"] if name.lower() == "fid" else [""]))
    found = by_column(dataset, name, values)
    return replace(found, facts={"column": name, "without_family": found.facts["without_value"]})


def _asked(dataset: Dataset, argument: str | None) -> tuple[ChosenEstimator, float | None]:
    """Return the estimator, and the threshold where the user has stated one."""
    if argument is None:
        return choose_estimator(dataset.inputs), None
    name, equals, number = (part.strip() for part in argument.partition("="))
    if name in MEASURES:
        estimator: Estimator = name
        chosen = ChosenEstimator(estimator=estimator, why="asked for")
        if not equals and estimator in _LADDERS:
            return chosen, None
    elif not equals and _number(name) is not None:
        chosen, number = choose_estimator(dataset.inputs), name
    else:
        guess = f"; {known_names(name, MEASURES)}" if name.isalpha() else ""
        msg = f"groups: relatedness takes {_written()}, got {argument!r}{guess}"
        raise SplitError(msg)
    value = _number(number)
    low, high = _BOUNDS[chosen.estimator]
    if value is None or not low < value <= high:
        msg = (
            f"groups: relatedness: a threshold of {MEASURES[chosen.estimator]} must be above {low:g} and at most "
            f"{high:g}, got {number or 'none'!r}"
        )
        if chosen.why != "asked for":
            msg += f" ({chosen.why}); another estimator is asked for as in {_written()}"
        raise SplitError(msg)
    return chosen, value


def _written() -> str:
    return ", ".join(f"relatedness:{example}" for example in _EXAMPLES.values())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _too_many(error: TooManyPairsError, estimator: Estimator, threshold: float) -> str:
    name = MEASURES[estimator]
    text = (
        f"groups: relatedness: {error.found:,} pairs of samples have {name} >= {threshold:g} after {error.share:.0%} "
        f"of all comparisons, more than the {MOST_PAIRS:,} that can be kept apart: at this threshold population "
        "structure makes nearly everybody a relative. "
    )
    if estimator == "ibs":
        text += "Give a higher threshold, as in relatedness:ibs=0.995, "
    elif estimator == "king":
        text += "Give a higher threshold, as in relatedness:king=0.354, "
    else:
        text += "Give a higher threshold, as in relatedness:grm=0.9, "
    return text + "or hold whole populations out (regime: cross-population, or groups: [clusters])"


def _facts(dataset: Dataset, chosen: ChosenEstimator, markers: Markers, compared: Compared) -> Mapping[str, Any]:
    n = len(dataset)
    facts: dict[str, Any] = {
        "estimator": chosen.estimator,
        "measure": MEASURES[chosen.estimator],
        "why": chosen.why,
        "threshold": compared.threshold,
        "samples": n,
        "pairs_compared": n * (n - 1) // 2,
        "pairs_at_least": {f"{rung:g}": count for rung, count in compared.counts.items()},
        "pairs_undefined": compared.undefined,
        "fewest_shared_markers": compared.fewest_shared,
        "histogram": {
            "edges": [round(float(edge), 6) for edge in compared.edges],
            "pairs": compared.histogram.tolist(),
        },
        "markers": dict(markers.facts),
    }
    if compared.highest is not None and compared.highest_pair is not None:
        facts["highest"] = round(compared.highest, 6)
        facts["highest_pair"] = [str(dataset.ids[row]) for row in compared.highest_pair]
    return facts


def _notes(
    dataset: Dataset, chosen: ChosenEstimator, markers: Markers, compared: Compared, stated: float | None
) -> list[str]:
    name = MEASURES[chosen.estimator]
    found = compared.counts[compared.threshold]
    notes = [
        f"relatives are pairs with {name} >= {compared.threshold:g}: {found:,} of "
        f"{len(dataset) * (len(dataset) - 1) // 2:,} pairs at {len(markers):,} markers"
        + ("" if chosen.why == "asked for" else f"; {name} because {chosen.why}")
    ]
    lower = [rung for rung in compared.counts if rung < compared.threshold]
    if stated is None and lower:
        notes.append(
            f"at {lower[-1]:g} more than {MOST_PAIRS:,} pairs would be relatives; the threshold is "
            f"{compared.threshold:g}"
        )
    if len(markers) < FEW_MARKERS:
        notes.append(
            f"{len(markers):,} markers tell close relatives from the unrelated only roughly; give a family column too"
        )
    elif compared.fewest_shared < _UNCERTAIN_SHARED:
        notes.append(
            f"some samples share calls at {compared.fewest_shared:,} markers only, where relatedness is mostly noise"
        )
    if compared.undefined:
        notes.append(
            f"{name} is undefined for {compared.undefined:,} pairs (no shared call, or no heterozygote); these are "
            "taken as unrelated"
        )
    return notes
