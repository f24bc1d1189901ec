"""By which thresholds a split is audited, and what a leak is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from automl_pheno.data import Dataset
from automl_pheno.data.places import PLACE_NAMES, IntervalError, lacking_places, place_column, read_intervals
from automl_pheno.errors import SplitError, known_names
from automl_pheno.splits.audit.exact import cells
from automl_pheno.splits.audit.sides import STAGES
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.groups import Groups
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.thresholds import COVERAGE, IDENTITY, MEASURES, Estimator

EXTRAPOLATIONS = ("unseen", "mutations", "position")

_FAMILIES = ("family", "fid", "pedigree", "family_id", "pop_family")
_BY_NAME = ("family", "chromosome")
_VISIBLE = ("similarity", "relatedness", "overlap", "column", *_BY_NAME)
ALL_JUDGED = ("identity", "relatedness", "overlap")
"""Kinds of similarity that can be leaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRules:
    """What must not lie on two sides.

    Attributes
    ----------
    identity, coverage
        Two sequences are alike from this identity on, over at least this share of the shorter one, on either strand.
    estimator
        Measure of relatedness; None is chosen from the data.
    relatedness
        Two genotypes are alike from this similarity on; None is the default of the estimator.
    overlap
        bp that may lie between two intervals of the genome which still count as overlapping.
    genome
        Column that keeps genomes apart; None is genome, assembly, species or sp where there is one.
    groups
        Columns of which no value may lie on two sides.
    judged
        Which of ``identity``, ``relatedness``, ``overlap`` are leaks; the others are measured and told only.
    extrapolation
        Of a library of mutants of one sequence: what the test set was declared to hold, ``unseen`` mutations, more
        ``mutations``, or mutations at another ``position``; None where nothing was declared.
    extrapolating
        At which stages that holds; our folds are drawn at random, so with them it does for the test set only.
    reference
        Sequence from which mutations are counted; None is the consensus.
    listed
        Pairs from a file that must not cross.
    budget
        Seconds that the sampled certificate of sequences may take.
    """

    identity: float = IDENTITY
    coverage: float = COVERAGE
    estimator: Estimator | None = None
    relatedness: float | None = None
    overlap: int = 0
    genome: str | None = None
    groups: tuple[str, ...] = ()
    judged: tuple[str, ...] = ALL_JUDGED
    extrapolation: str | None = None
    extrapolating: tuple[str, ...] = STAGES
    reference: str | None = None
    listed: tuple[Pairs, ...] = ()
    budget: float = 20.0

    def __post_init__(self) -> None:
        for name, low, high in (("identity", 0.7, 1.0), ("coverage", 0.1, 1.0)):
            value = getattr(self, name)
            if not low <= value <= high:
                msg = f"audit: {name} must be from {low:g} to {high:g}, got {value!r}"
                raise SplitError(msg)
        if self.estimator is not None and self.estimator not in MEASURES:
            msg = f"audit: unknown estimator {self.estimator!r}; {known_names(self.estimator, MEASURES)}"
            raise SplitError(msg)
        if self.relatedness is not None and not 0.0 < self.relatedness <= 1.0:
            msg = f"audit: relatedness must be above 0 and at most 1, got {self.relatedness!r}"
            raise SplitError(msg)
        if self.extrapolation is not None and self.extrapolation not in EXTRAPOLATIONS:
            guess = known_names(self.extrapolation, EXTRAPOLATIONS)
            msg = f"audit: unknown extrapolation {self.extrapolation!r}; {guess}"
            raise SplitError(msg)

    def to_json(self) -> dict[str, Any]:
        """Return plain values; of listed pairs their measure, threshold and number only."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "listed"}
        listed = [{"measure": one.measure, "threshold": one.threshold, "pairs": len(one)} for one in self.listed]
        return {**plain, "groups": list(self.groups), "judged": list(self.judged), "listed": listed,
                "extrapolating": list(self.extrapolating)}  # fmt: skip


def rules_for(dataset: Dataset, config: SplitConfig, groups: Groups) -> AuditRules:
    """Return the rules that a split made by `config` from `groups` promises to keep.

    Thresholds are those that the pairs of `groups` ended at, after any climb of their ladder. What was not asked for
    is measured at the default threshold, and told, but is no leak.

    Parameters
    ----------
    dataset
        What was split.
    config
        How.
    groups
        What was kept together.
    """
    asked = _asked(dataset, list(groups.counts), groups.facts)
    listed = []
    estimators = {measure: name for name, measure in MEASURES.items()}
    for pairs in groups.pairs:
        if pairs.measure == "identity":
            asked["identity"] = pairs.threshold
        elif pairs.measure in estimators:
            asked |= {"estimator": estimators[pairs.measure], "relatedness": pairs.threshold}
        else:
            listed.append(pairs)
    declared = config.extrapolation if config.extrapolation in EXTRAPOLATIONS else None
    stages = STAGES if config.method == "holdout" else STAGES[:1]
    return AuditRules(**asked, extrapolation=declared, extrapolating=stages, listed=tuple(listed))


def rules_with(rules: AuditRules, dataset: Dataset, asked: Sequence[str]) -> AuditRules:
    """Return rules that judge by more groupings, written as for a split: ``similarity:0.9``, ``column:family`` ...

    Raises
    ------
    SplitError
        A grouping is unknown or cannot be seen in the data, or a threshold is no number.
    """
    for text in asked:
        _check_visible(dataset, text)
    more = _asked(dataset, asked, {})
    more["judged"] = tuple(dict.fromkeys([*rules.judged, *more["judged"]]))
    more["groups"] = tuple(dict.fromkeys([*rules.groups, *more["groups"]]))
    for column in more["groups"]:
        if not any(cell is not None for cell in cells(dataset, column)):
            msg = f"audit: no sample has a value in column {column!r}, so nothing can be seen to be kept together by it"
            raise SplitError(msg)
    return replace(rules, **more)


def _check_visible(dataset: Dataset, text: str) -> None:
    """Raise SplitError where a grouping cannot be audited, or not in such data: what is asked for is never ignored."""
    name, _, argument = text.partition(":")
    if name not in _VISIBLE:
        msg = f"audit: {text!r} cannot be audited; {known_names(name, _VISIBLE)}"
        raise SplitError(msg)
    wanted = {"similarity": "sequence", "relatedness": "genotype"}.get(name, dataset.kind)
    if dataset.kind != wanted:
        msg = f"audit: {name} is of {wanted}s, and the data are {dataset.kind}s"
        raise SplitError(msg)
    if name in _BY_NAME and argument:
        msg = f"audit: {name!r} takes no argument, got {argument!r}; column:{argument} judges by that column"
        raise SplitError(msg)
    if name == "overlap":
        _check_intervals(dataset)


def _check_intervals(dataset: Dataset) -> None:
    columns = list(dataset.columns.columns)
    lacking = lacking_places(columns)
    try:
        found = None if lacking else read_intervals(dataset.columns)
    except IntervalError as error:
        msg = f"audit: overlap: the interval {error.interval} of {str(dataset.ids[error.row])!r} {error.reason}"
        raise SplitError(msg) from None
    if found is None:
        what = f"the data lack {lacking}" if lacking else "no sample has numbers in all of them"
        have = ", ".join(map(str, columns)) or "(none)"
        msg = f"audit: 'overlap' needs the columns chromosome, start and end; {what} (columns: {have})"
        raise SplitError(msg)


def _asked(dataset: Dataset, texts: Sequence[str], facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the fields of the rules that groupings stand for."""
    values: dict[str, Any] = {}
    judged: list[str] = []
    columns: list[str] = []
    known = [str(name) for name in dataset.columns.columns]
    for text in texts:
        name, _, argument = text.partition(":")
        if name == "similarity":
            judged.append("identity")
            if argument:
                values["identity"] = _number(text, argument)
        elif name == "relatedness":
            judged.append("relatedness")
            values |= parse_relatedness(argument)
        elif name == "overlap":
            judged.append("overlap")
            words = [word.strip() for word in argument.split(",") if word.strip()]
            values["overlap"] = next((int(word) for word in words if word.isdecimal()), 0)
            values["genome"] = next((word for word in words if not word.isdecimal()), None)
        elif name == "column":
            columns += [argument] if argument in known else [part.strip() for part in argument.split(",")]
        elif name in _BY_NAME:
            said = facts.get(name, {}).get("column")
            columns += _first(known, name) if said is None else [str(said)]
    return {**values, "judged": tuple(dict.fromkeys(judged)), "groups": tuple(dict.fromkeys(columns))}


def _number(text: str, argument: str) -> float:
    try:
        return float(argument)
    except ValueError:
        msg = f"audit: the threshold of {text!r} must be a number, got {argument!r}"
        raise SplitError(msg) from None


def rules_from_json(facts: Mapping[str, Any]) -> AuditRules:
    """Return the rules that `AuditRules.to_json` wrote; without pairs that were listed in a file."""
    known = {one.name for one in fields(AuditRules)} - {"listed"}
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in facts.items() if name in known
    }
    return AuditRules(**plain)


def parse_relatedness(text: str) -> dict[str, Any]:
    """Return estimator and threshold of ``king=0.0884``, ``ibs``, ``0.177`` or nothing, as far as they are stated.

    Raises
    ------
    SplitError
        The estimator is unknown, or the threshold no number.
    """
    name, equals, number = (part.strip() for part in text.partition("="))
    if not name:
        return {}
    if name in MEASURES and not equals:
        return {"estimator": name}
    try:
        value = float(number if equals else name)
    except ValueError:
        guess = f"; {known_names(name, MEASURES)}" if equals or name.isalpha() else ""
        msg = f"audit: relatedness is written as king=0.0884, ibs=0.95 or 0.177, got {text!r}{guess}"
        raise SplitError(msg) from None
    if equals and name not in MEASURES:
        msg = f"audit: unknown estimator {name!r}; {known_names(name, MEASURES)}"
        raise SplitError(msg)
    return {"estimator": name, "relatedness": value} if equals else {"relatedness": value}


def _first(known: list[str], grouping: str) -> list[str]:
    if grouping == "chromosome":
        found, names = place_column(known, grouping), PLACE_NAMES[grouping]
    else:
        lower = {name.lower(): name for name in reversed(known)}
        found, names = next((lower[name] for name in _FAMILIES if name in lower), None), _FAMILIES
    if found is None:
        msg = f"audit: {grouping!r} needs a column called {', '.join(names)}; {known_names(grouping, known)}"
        raise SplitError(msg)
    return [found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """What lies on two sides and must not.

    Attributes
    ----------
    kind
        ``ids``, ``sequences``, ``reverse_complements``, ``genotypes``, ``overlap``, ``column NAME``, ``groups``,
        ``identity``, ``relatedness``, ``listed``, ``extrapolation``.
    between
        What was evaluated and what was trained on: `count` is exact for these two.
    count
        In the unit of the kind.
    threshold
        From which on it is a leak; None where nothing may be shared.
    worst
        Highest similarity; None where none is measured.
    examples
        Ids (evaluated, trained on), worst first.
    sentence
        The finding in one line.
    rows, of
        Evaluated samples that are concerned, and how many are evaluated at this stage.
    parts
        Set trained on -> `count` with that set alone.
    """

    kind: str
    between: tuple[str, str]
    count: int
    threshold: float | None
    worst: float | None
    examples: tuple[tuple[str, str], ...]
    sentence: str
    rows: int = 0
    of: int = 0
    parts: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        plain = asdict(self)
        return {**plain, "between": list(self.between), "examples": [list(pair) for pair in self.examples]}
