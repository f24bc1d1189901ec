"""Variants of one file as another file states them: the same place, the same counted allele, the same strand.

A model counts one allele of each variant. In another file that allele may be the reference (dosages become 2 - d), be
named on the other strand (A/G is T/C), or be missing. Turner et al. 2011 (Curr Protoc Hum Genet 1.19) list these cases.
Or the file is of other variants altogether: another assembly, or ids that mean something else. Then it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd

from automl_pheno.data.dataset import FloatArray, Inputs
from automl_pheno.data.variant_match import Alleles, BoolArray, Found, alleles_of, find_variants, place_of
from automl_pheno.data.variants import blocks
from automl_pheno.errors import DataError

Agreement = Literal["same", "swapped", "flipped", "flipped and swapped", "unknown", "mismatch"]
Strand = Literal["own", "other", "mixed", "none tells"]

FREQUENCY = "frequency"
"""Column of a table of variants: mean dosage / 2 of the counted allele in the samples a model was fitted on."""
MOST_CONTRADICTING = 0.05
"""Share of the variants in common above which other alleles or chromosomes mean other variants."""
MOST_MISSING = 0.5
"""Share of the variants that are read above which too much would be guessed."""
_COUNTS_THE_OTHER = -0.5
_FEWEST_FREQUENCIES = 20
_SPREAD = 0.1  # of frequencies around 1/2; below it they do not tell the alleles apart
_UNRELATED = 0.1
_FEWEST_SAMPLES = 20
_FEWEST_TO_REFUSE = 5
_ERRORS = 1000  # one variant in so many may be on the other strand by error without making the strands mixed

_COMPLEMENT = str.maketrans("ACGTUN", "TGCAAN")
_BASES = frozenset("ACGTUN")
_SWAPPED = ("swapped", "flipped and swapped")
_EXAMPLES = 3
_HIGHEST = np.float32(2.0)
_ALLOW = "say --allow-mismatch (allow_mismatch=True) to predict all the same"


@lru_cache(maxsize=4096)
def compare_alleles(given: Alleles, wanted: Alleles) -> Agreement:
    """Say how the alleles (ref, alt) of one variant are those of another; "" is an allele that is not known.

    A variant with one known allele, as in a file where nobody has the other one, agrees by that allele. With both
    unknown on one side nothing can be compared: ``unknown``. Alleles that fit on both strands are taken as they are
    named.

    >>> compare_alleles(("A", "G"), ("G", "A"))
    'swapped'
    >>> compare_alleles(("T", "C"), ("A", "G"))
    'flipped'
    """
    if not any(given) or not any(wanted):
        return "unknown"
    named, turned = _fitting(given, wanted)
    return named or turned or "mismatch"


def is_ambiguous(alleles: Alleles) -> bool:
    """Say whether the alleles are complements of each other (A/T, C/G), so that they do not tell the strand."""
    return all(alleles) and _reverse_complement(alleles[0].upper()) == alleles[1].upper()


def harmonise(given: Inputs, wanted: pd.DataFrame, *, allow_mismatch: bool = False) -> tuple[Inputs, tuple[str, ...]]:
    """Return `given` as dosages of the variants `wanted`, in their order, and notes with counts.

    Variants are matched by id, else by chromosome and position (``chr1`` is ``1``), where several stand there by
    alleles that agree; see `find_variants`. Where the counted allele is the other one, dosages become 2 - d. Variants
    that are not found, or whose alleles or chromosome are others, are missing (NaN).

    Complementary alleles (A/T, C/G) look the same on both strands: A/T of the other strand is T/A of ours. They follow
    the variants that tell the strand where these agree, and are missing where these lie on both strands. Where no
    variant tells it, they are taken as named if all are named as in `wanted`, and else are missing.

    Parameters
    ----------
    given
        Genotypes, with their variants.
    wanted
        Table of variants, as in `Inputs`; with a column ``frequency`` the allele frequencies are compared, too, where
        there are enough of them.
    allow_mismatch
        Say in a note what would be refused.

    Returns
    -------
    Inputs
        Shape (n, wanted), with `wanted` as variants.
    tuple
        Notes.

    Raises
    ------
    DataError
        No variant is in common, or none has the alleles it should; or, unless `allow_mismatch`: more than
        `MOST_CONTRADICTING` of those in common contradict, more than `MOST_MISSING` are missing, or the
        frequencies are those of the other alleles and no names speak against it.
    """
    if given.variants is None:
        msg = "the genotypes have no table of variants to match"
        raise DataError(msg)
    found = find_variants(given.variants, wanted, _agree)
    there = np.flatnonzero(found.columns >= 0)
    if not len(there):
        raise DataError(_nothing_in_common(given.variants, wanted))
    ours, theirs = alleles_of(given.variants), alleles_of(wanted)
    pairs = [(ours[int(found.columns[row])], theirs[row]) for row in there.tolist()]
    verdict = _judge(pairs, found.elsewhere[there])
    used, swapped = verdict.used, verdict.swapped[verdict.used]
    if not used.any() and verdict.contradicting.all():
        msg = f"all {len(there):,} variants in common have other alleles: "
        raise DataError(msg + _contradictions(given.variants, wanted, found, there[:1].tolist()))
    places = there[used]
    values = np.full((len(given), len(wanted)), np.nan, dtype=np.float32)
    for rows in blocks(len(given), 4 * len(wanted)):
        part = given.values[rows][:, found.columns[places]]
        part[:, swapped] = _HIGHEST - part[:, swapped]
        values[rows][:, places] = part
    problems, hints = _problems(given.variants, wanted, found, verdict), list[str]()
    if FREQUENCY in wanted:
        others, unlike = compare_frequencies(values, wanted[FREQUENCY].to_numpy(np.float64))
        # one parent of a backcross may differ so, and alleles that agree weigh more
        sure = len(given) >= _FEWEST_TO_REFUSE and not verdict.vouched
        (problems if sure else hints).extend(others)
        hints += unlike
    if problems and (not allow_mismatch or not used.any()):
        raise DataError("; ".join(problems) + (f"; {_ALLOW}" if used.any() else ""))
    notes = _notes(given.variants, wanted, found, verdict)
    table = wanted.drop(columns=FREQUENCY) if FREQUENCY in wanted else wanted
    return (
        Inputs(kind="genotype", values=values, variants=table),
        (*notes, *hints, *(f"mismatch allowed: {problem}" for problem in problems)),
    )


def compare_frequencies(values: FloatArray, expected: FloatArray) -> tuple[list[str], list[str]]:
    """Return whether allele frequencies are those of the other alleles, and whether they are unlike those of training.

    Parameters
    ----------
    values
        Dosages, shape (n, p); NaN is missing.
    expected
        Frequencies of the counted alleles in training, shape (p,); NaN is not known.

    Returns
    -------
    list, list
        Sentences, at most one in each; none where too few variants are known, or all are near 1/2.
    """
    calls = (~np.isnan(values)).sum(axis=0)
    seen = np.nansum(values, axis=0, dtype=np.float64) / np.maximum(calls, 1) / 2.0
    known = (calls > 0) & np.isfinite(expected)
    x, y = seen[known] - 0.5, expected[known] - 0.5
    if len(x) < _FEWEST_FREQUENCIES or np.sqrt(np.mean(y * y)) < _SPREAD or not x.any():
        return [], []
    # (2 - d) fits better than d by the sum of x * y: the means, not the correlation, tell which allele is counted
    alike = float(x @ y / np.sqrt((x @ x) * (y @ y)))
    about = f"over {len(x):,} variants"
    if alike < _COUNTS_THE_OTHER:
        text = (
            f"the dosages seem to count the other alleles: their frequencies are one minus those of training "
            f"(agreement {alike:.2f}, of -1 to 1, {about}); give 2 - dosage, or name ref and alt (NAME.variants.csv)"
        )
        return [text], []
    if len(values) >= _FEWEST_SAMPLES and x.std() > 0 and y.std() >= _SPREAD:
        r = float(np.corrcoef(x, y)[0, 1])
        if r < _UNRELATED:
            text = f"allele frequencies of the input are not like those of training (r {r:.2f} {about})"
            return [], [f"{text}: other variants under the same names, or a population that is far from it"]
    return [], []


def frequencies(values: FloatArray) -> FloatArray:
    """Return mean dosage / 2 of each variant, float64, shape (p,); NaN where nothing is called."""
    calls = (~np.isnan(values)).sum(axis=0)
    total = np.nansum(values, axis=0, dtype=np.float64)
    mean: FloatArray = np.where(calls > 0, total / np.maximum(calls, 1) / 2.0, np.nan)
    return mean


# -- one variant -----------------------------------------------------------------------------------------------------


def _agree(given: Alleles, wanted: Alleles) -> bool | None:
    word = compare_alleles(given, wanted)
    return None if word == "unknown" else word != "mismatch"


@lru_cache(maxsize=4096)
def _fitting(given: Alleles, wanted: Alleles) -> tuple[Agreement | None, Agreement | None]:
    """Return how the alleles fit as they are named, and how on the other strand; None where they do not."""
    ours, theirs = (tuple(allele.upper() for allele in pair) for pair in (given, wanted))
    turned = tuple(map(_reverse_complement, ours))

    def first(pair: tuple[str, ...], straight: Agreement, crossed: Agreement) -> Agreement | None:
        for word, (ref, alt) in ((straight, pair), (crossed, pair[::-1])):
            if _fits(ref, theirs[0]) and _fits(alt, theirs[1]):
                return word
        return None

    return first(ours, "same", "swapped"), first(turned, "flipped", "flipped and swapped")


def _reverse_complement(allele: str) -> str:
    # symbolic alleles and names such as L and H have no other strand
    return allele.translate(_COMPLEMENT)[::-1] if set(allele) <= _BASES else allele


def _fits(allele: str, wanted: str) -> bool:
    return not allele or not wanted or allele == wanted


# -- all variants ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Verdict:
    """What is made of each variant in common.

    Attributes
    ----------
    words
        How its alleles agree; ``ambiguous`` where they fit both ways and the strand is not known.
    contradicting
        Other alleles or another chromosome.
    strand
        Of the variants that tell it.
    telling, ambiguous
        How many tell the strand, and how many would be counted otherwise on the other one.
    """

    words: Sequence[str]
    contradicting: BoolArray
    strand: Strand
    telling: int
    ambiguous: int

    @property
    def used(self) -> BoolArray:
        """Whose dosages are taken."""
        open_ = np.array([word == "ambiguous" for word in self.words], dtype=bool)
        used: BoolArray = ~(self.contradicting | open_)
        return used

    @property
    def vouched(self) -> bool:
        """Whether most of the counted alleles are known to be those of training."""
        unsure = self.words.count("unknown") + (self.ambiguous if self.strand == "none tells" else 0)
        return 2 * unsure < len(self.words)

    @property
    def swapped(self) -> BoolArray:
        """Whose dosages become 2 - d."""
        return np.array([word in _SWAPPED for word in self.words], dtype=bool)


def _judge(pairs: Sequence[tuple[Alleles, Alleles]], elsewhere: BoolArray) -> _Verdict:
    """Judge the pairs (given, wanted) of alleles."""
    words: list[str] = [compare_alleles(*pair) for pair in pairs]
    contradicting = elsewhere | np.array([word == "mismatch" for word in words], dtype=bool)
    open_, votes = [], Counter[Strand]()
    for row, (word, pair) in enumerate(zip(words, pairs, strict=True)):
        if word == "unknown" or contradicting[row]:
            continue
        named, turned = _fitting(*pair)
        if named is None or turned is None:
            votes["other" if named is None else "own"] += 1
        elif (named in _SWAPPED) != (turned in _SWAPPED):
            open_.append(row)
    strand = _strand(votes)
    as_named = strand == "own" or (strand == "none tells" and all(words[row] == "same" for row in open_))
    for row in open_:
        if not as_named:
            words[row] = str(_fitting(*pairs[row])[1]) if strand == "other" else "ambiguous"
    return _Verdict(
        words=words, contradicting=contradicting, strand=strand, telling=votes.total(), ambiguous=len(open_)
    )


def _strand(votes: Counter[Strand]) -> Strand:
    if not votes:
        return "none tells"
    (most, count), *rest = votes.most_common()
    return most if not rest or rest[0][1] <= count // _ERRORS else "mixed"


# -- what a user reads -----------------------------------------------------------------------------------------------


def _problems(given: pd.DataFrame, wanted: pd.DataFrame, found: Found, verdict: _Verdict) -> list[str]:
    there = np.flatnonzero(found.columns >= 0)
    wrong, lost = there[verdict.contradicting], np.full(len(wanted), fill_value=True)
    lost[there[verdict.used]] = False
    problems = []
    if len(wrong) > MOST_CONTRADICTING * len(there):
        examples = _contradictions(given, wanted, found, wrong[:_EXAMPLES].tolist())
        problems.append(
            f"{len(wrong):,} of the {len(there):,} variants in common contradict the model: {examples}; is the file of "
            "another assembly, or do its ids name other variants? Give those of training"
        )
    if lost.sum() > MOST_MISSING * len(wanted):
        reasons = {
            "not in the input": int((found.columns < 0).sum()),
            "with other alleles": len(wrong),
            "A/T or C/G of unknown strand": int(lost.sum()) - int((found.columns < 0).sum()) - len(wrong),
        }
        counted = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
        problems.append(
            f"{int(lost.sum()):,} of the {len(wanted):,} variants that are read are missing ({counted}): "
            f"{_some(wanted['id'].astype(str)[lost].tolist())}; give a file with all of them (sites where nobody has "
            "the alternate allele, too)"
        )
    return problems


def _contradictions(given: pd.DataFrame, wanted: pd.DataFrame, found: Found, rows: Sequence[int]) -> str:
    ours, theirs = alleles_of(given), alleles_of(wanted)
    texts = []
    for row in rows:
        column = int(found.columns[row])
        here, there = place_of(given, column), place_of(wanted, row)
        known = any(ours[column]) and any(theirs[row])
        pairs = ["/".join(ours[column]), "/".join(theirs[row])] if known else ["", ""]
        if here and there and here != there:
            pairs = [f"{pairs[0]} at {here}".strip(), f"{pairs[1]} at {there}".strip()]
        texts.append(f"{wanted['id'].iloc[row]} is {pairs[0]}, not {pairs[1]}{' (ref/alt)' if known else ''}")
    return "; ".join(texts)


def _nothing_in_common(given: pd.DataFrame, wanted: pd.DataFrame) -> str:
    def some(variants: pd.DataFrame) -> str:
        return ", ".join(variants["id"].astype(str).tolist()[:_EXAMPLES])

    places = [place_of(variants, 0) for variants in (given, wanted) if len(variants)]
    shown = f" (the first stands at {places[0]}, in training at {places[1]})" if all(places) and places[1:] else ""
    return (
        f"none of the {len(wanted):,} variants that are read ({some(wanted)}, ...) is among the {len(given):,} "
        f"variants of the input ({some(given)}, ...); variants are matched by id, or by chromosome and position{shown}"
    )


def _notes(given: pd.DataFrame, wanted: pd.DataFrame, found: Found, verdict: _Verdict) -> tuple[str, ...]:
    there = found.columns >= 0
    total = f"of the {len(wanted):,} variants that are read"
    ids = wanted["id"].astype(str)
    lacking, others = ids[~there].tolist(), ids[there][verdict.contradicting].tolist()
    counts = Counter(word for word, wrong in zip(verdict.words, verdict.contradicting, strict=True) if not wrong)
    kinds = (
        (len(lacking), f"are not in the input and count as missing calls: {_some(lacking)}"),
        (len(others), f"have other alleles in the input and count as missing calls: {_some(others)}"),
        (int((there & ~found.by_id).sum()), "were matched by chromosome and position, not by id"),
        (
            int(found.moved.sum()),
            "were matched by id and stand at another position in the input: another assembly, or other variants",
        ),
        (counts["swapped"], "have reference and alternate allele swapped: 2 - dosage"),
        (counts["flipped"], "are named on the other strand"),
        (counts["flipped and swapped"], "are on the other strand and swapped: 2 - dosage"),
        (verdict.ambiguous if counts["same"] < len(verdict.words) else 0, _of_ambiguous(verdict)),
        (
            counts["unknown"] if _some_known(given) or _some_known(wanted) else 0,
            "have no alleles to compare; the counted allele is taken to be the same",
        ),
    )
    spare = len(given) - int(there.sum())
    last = (f"{spare:,} of the {len(given):,} variants of the input are not read",) if spare else ()
    return (*(f"{count:,} {total} {text}" for count, text in kinds if count), *last)


def _of_ambiguous(verdict: _Verdict) -> str:
    fates: dict[Strand, str] = {
        "own": f"taken as they are named, as all {verdict.telling:,} that do are on this strand",
        "other": f"taken as named on the other strand, as all {verdict.telling:,} that do are",
        "mixed": f"the {verdict.telling:,} that do are on both strands, so these count as missing calls",
        "none tells": "no variant does; taken as they are named, which is as in training",
    }
    fate = fates[verdict.strand]
    if verdict.strand == "none tells" and "ambiguous" in verdict.words:
        fate = "no variant does, and some are named the other way round, so they count as missing calls"
    return f"are A/T or C/G, which do not tell the strand; {fate}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_EXAMPLES]) + (", ..." if len(names) > _EXAMPLES else "")


def _some_known(variants: pd.DataFrame) -> bool:
    return bool((variants["ref"].astype(str) != "").any() or (variants["alt"].astype(str) != "").any())
