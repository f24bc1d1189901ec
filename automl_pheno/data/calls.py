"""Genotypes that are written out: from a cell (``AG``, ``A/G``, ``0|1``, ``12``, ``R``) to its alleles, and to dosages.

One mechanism for tables of letters, HapMap and .ped. A file keeps to one notation, which all of its cells must fit.
The alternate allele, the one that is counted, is the one that the file or its map names; else the second of the two
in order (G of A and G, 1 of 0 and 1), so that it does not depend on which samples are in the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from automl_pheno.data.dataset import FloatArray
from automl_pheno.errors import DataError

Call = tuple[str, ...]
"""The alleles of a call, as many as the ploidy; () is a missing call."""
Codes = npt.NDArray[np.int32]
Declared = Callable[[int], tuple[str, str]]
"""``declared(variant) -> (ref, alt)`` as the file or its map says; "" is not stated."""
Place = Callable[[int, int], str]
"""``place(variant, sample) -> "file:line: sample 's', variant 'v'"``."""

_DIPLOID = 2
_NO_CALLS = frozenset(
    ("N", "NN", "?", "??", ".", "..", "*", "NC", "NOCALL", "NO CALL", "NO_CALL", "UNCALLABLE",
     "UNDETERMINED", "FAILED")
)  # fmt: skip
_UNKNOWN = re.compile(r"N+|NA|[.?*]")
_LOST, _GAP, _ZERO = ".", "-", "0"
_GAPS = ("-", "--")
_NUMBERS = ("0", "1")
_POSITIVE = frozenset("123456789")
_MARKS = (re.compile(r"\s*[/|]\s*"), re.compile(r"\s*:\s*"), re.compile(r"\s+"))
_ALLELE = re.compile(r"[ACGTUN]+|[BDI]|[0-9]{1,4}|NA|[-+.?*]")
_JOINED = re.compile(r"[ACGTUNBDI.?+-]{2,8}|[0-9]{2}")
_TWO_DIGITS = re.compile(r"[0-9]{2}")
_CODES: dict[str, Call] = {
    "A": ("A", "A"), "C": ("C", "C"), "G": ("G", "G"), "T": ("T", "T"), "U": ("T", "T"),
    "R": ("A", "G"), "Y": ("C", "T"), "S": ("C", "G"), "W": ("A", "T"), "K": ("G", "T"), "M": ("A", "C"),
    "+": ("+", "+"),
}  # fmt: skip
_PARENTS: dict[str, Call] = {"A": ("A", "A"), "H": ("A", "B"), "B": ("B", "B")}


class Cells(dict[str, int]):
    """Text -> number of a cell, in the order of appearance: a table has few different cells, so each is parsed once."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def __missing__(self, cell: str) -> int:
        text = cell.strip()
        number = super().get(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
            self[text] = number
        self[cell] = number
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Dosages of alternate alleles.

    Attributes
    ----------
    values
        float32, shape (variants that are kept, samples), from 0 to 2; NaN is missing.
    refs, alts
        Of these variants; "" where nobody has the allele and nothing says it.
    kept
        Which variants these are, bool, one each.
    notes
        What was noticed.
    """

    values: FloatArray
    refs: list[str]
    alts: list[str]
    kept: npt.NDArray[np.bool_]
    notes: tuple[str, ...]


def _separated(cell: str) -> Call | None:
    for mark in _MARKS:
        parts = mark.split(cell)
        if len(parts) > 1 and all(map(_ALLELE.fullmatch, parts)):
            return tuple(parts)
    return None


def _joined(cell: str) -> Call | None:
    return tuple(cell) if _JOINED.fullmatch(cell) else None


_CROSS = "A, H and B of a cross"
_NOTATIONS: dict[str, Callable[[str], Call | None]] = {
    "alleles with a mark between (A/G, 0|1)": _separated,
    "alleles without a mark (AG, 12)": _joined,
    _CROSS: _PARENTS.get,
    "one letter a call (A, G, R)": _CODES.get,
}
"""What fits first for all cells is taken; A, H and B only where B or H stands there."""


def looks_written_out(cells: Collection[str], missing: Collection[str]) -> bool:
    """Say whether all of `cells` that are not missing are calls in one notation, and any is there."""
    known = {cell.strip().upper() for cell in cells if cell.strip() not in missing}
    known -= {*_NO_CALLS, *_GAPS}
    digits = {letter for cell in known for letter in cell if letter in _POSITIVE}
    if len(digits) > _DIPLOID:
        return False  # numbers such as 45 and 63
    return bool(known) and any(all(parse(cell) for cell in known) for parse in _NOTATIONS.values())


def is_no_call(cell: str) -> bool:
    """Say whether a cell is a missing call in every notation: NN, --, ./. and the like."""
    return cell.upper() in _NO_CALLS or cell in _GAPS


def are_two_digits(cells: Collection[str]) -> bool:
    """Say whether all cells are pairs of allele numbers (11, 12, 22) rather than numbers."""
    return bool(cells) and all(map(_TWO_DIGITS.fullmatch, cells))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Calls as they stand in a file.

    Attributes
    ----------
    codes
        Number of the cell of each call in `texts`, int32, shape (variants, samples).
    texts
        Each different cell.
    missing
        Cells that mean "no call" besides those that always do (N, --, ./.).
    declared
        Alleles that are stated.
    place
        Names a call in messages.
    zero_is_missing
        An allele ``0`` was not called, as in PLINK files.
    by_sample
        The file has a sample, not a variant, a line.
    """

    codes: Codes
    texts: Sequence[str]
    missing: Collection[str]
    declared: Declared
    place: Place
    zero_is_missing: bool = False
    by_sample: bool = False

    def count(self, *, skip_multiallelic: bool, ploidy: int | None) -> Counted:
        """Return the dosages of alternate alleles: 2 x their share.

        Raises
        ------
        DataError
            A cell does not fit the notation of the others; calls have several ploidies, or not the one stated; a
            variant has more than two alleles (unless those are skipped), or others than are declared.
        """
        calls, notation = self._parse()
        size = self._ploidy(calls, ploidy)
        alleles = _Alleles(calls)
        numbered = _are_numbered(calls)
        refs, alts = [], []
        values = np.empty(self.codes.shape, dtype=np.float32)
        kept = np.ones(len(self.codes), dtype=np.bool_)
        half = 0
        for variant, row in enumerate(self.codes):
            counts = np.bincount(row, minlength=len(calls))
            stated = self.declared(variant)
            found = alleles.of(tuple(np.flatnonzero(counts).tolist()), _NUMBERS if numbered else stated)
            if found is None and skip_multiallelic:
                kept[variant] = False
            elif found is None:
                raise DataError(self._too_many(variant, calls, counts, ("", "") if numbered else stated))
            else:
                values[variant] = found.dosage[row]
                half += int(counts[found.half].sum())
                ref, alt = stated if numbered else (found.ref, found.alt)
                refs.append(ref)
                alts.append(alt)
        return Counted(
            values=values if kept.all() else values[kept],
            refs=refs,
            alts=alts,
            kept=kept,
            notes=self._notes(notation, size, half, int((~kept).sum())),
        )

    def _parse(self) -> tuple[list[Call], str]:
        """Return the alleles of each text, and the notation."""
        upper = [text.upper() for text in self.texts]
        calls: list[Call | None] = [
            () if text in self.missing or up in _NO_CALLS else (_GAP, _GAP) if up in _GAPS else None
            for text, up in zip(self.texts, upper, strict=True)
        ]
        open_ = [code for code, call in enumerate(calls) if call is None]
        names = [name for name in _NOTATIONS if name != _CROSS or {"H", "B"} & {upper[code] for code in open_}]
        misfits = {name: [code for code in open_ if _NOTATIONS[name](upper[code]) is None] for name in names}
        best = min(names, key=lambda name: len(misfits[name]))
        if misfits[best]:
            raise DataError(self._misfit(best, misfits[best][0]))
        parsed = [
            call if call is not None else _NOTATIONS[best](up) or () for call, up in zip(calls, upper, strict=True)
        ]
        return self._without_unknown(parsed), best

    def _misfit(self, notation: str, code: int) -> str:
        return (
            f"{self._first(code)}: {self.texts[code]!r} is no genotype like the others, which are {notation}; correct "
            f"it, say that it is missing (--missing {self.texts[code]!r}), or take a column that is no variant out"
        )

    def _first(self, code: int) -> str:
        """Return the first place of a cell, in the order of variants and then samples."""
        if self.by_sample:
            sample, variant = np.argwhere(code == self.codes.T)[0]
        else:
            variant, sample = np.argwhere(self.codes == code)[0]
        return self.place(int(variant), int(sample))

    def _without_unknown(self, parsed: Sequence[Call]) -> list[Call]:
        """Return calls with ``.`` for unknown alleles, () where all are; U is T, and 0 unknown where it must be."""
        calls = [tuple(_LOST if _UNKNOWN.fullmatch(a) else a.replace("U", "T") for a in call) for call in parsed]
        if self.zero_is_missing or self._zero_must_be_missing(calls, {a for call in calls for a in call} - {_LOST}):
            calls = [tuple(_LOST if allele == _ZERO else allele for allele in call) for call in calls]
        return [() if {*call} == {_LOST} else call for call in calls]

    def _zero_must_be_missing(self, calls: Sequence[Call], seen: set[str]) -> bool:
        if _ZERO not in seen or any(_ZERO in call and len({*call}) > 1 for call in calls):
            return False
        others = seen - {_ZERO, _GAP}
        if all(allele.isdecimal() for allele in others):
            if max(map(int, others), default=1) < _DIPLOID:
                return False
            if not any(len({*call}) > 1 for call in calls):
                code = next(code for code, call in enumerate(calls) if {*call} == {_ZERO})
                msg = (
                    f"{self._first(code)}: {self.texts[code]!r} may be a missing call or two copies of allele 0; if it "
                    f"is missing, say so (--missing {self.texts[code]})"
                )
                raise DataError(msg)
        return True

    def _ploidy(self, calls: Sequence[Call], stated: int | None) -> int:
        sizes = Counter(len(call) for call in calls if {*call} - {_GAP})
        size = max(sizes, key=lambda size: (sizes[size], -size), default=_DIPLOID)
        wanted = size if stated is None else stated
        for code, call in enumerate(calls):
            if {*call} - {_GAP} and len(call) != wanted:
                what = f"others have {wanted}" if stated is None else f"the stated ploidy is {wanted} (--ploidy)"
                msg = f"{self._first(code)}: {self.texts[code]!r} has {len(call)} alleles, but {what}"
                raise DataError(msg)
        return wanted

    def _too_many(
        self, variant: int, calls: Sequence[Call], counts: npt.NDArray[np.intp], stated: tuple[str, str]
    ) -> str:
        """Return what is wrong with the alleles of a variant, at the first call with the rarest or unexpected one."""
        ref, alt = stated
        tally: Counter[str] = Counter()
        for code in np.flatnonzero(counts).tolist():
            if {*calls[code]} != {_GAP} or _GAP in (ref, alt):
                tally.update(dict.fromkeys(calls[code], int(counts[code])))
        del tally[_LOST]
        others = [allele for allele in tally if ref and alt and allele not in (ref, alt)]
        rare = min(others or tally, key=lambda allele: (tally[allele], allele))
        code = next(code for code in self.codes[variant].tolist() if rare in calls[code])
        sample = int(np.argmax(self.codes[variant] == code))
        where = f"{self.place(variant, sample)}: {self.texts[code]!r}"
        if rare == _GAP and not others:
            return f"{where} may be a deletion or half a missing call; write deletions as D (and bases as I), or N"
        if others:
            return f"{where}: the alleles of the variant are stated as {ref} and {alt}, got {rare}"
        if _mixed(tally):
            return f"{where}: the variant has letters and numbers as alleles ({', '.join(sorted(tally))}); use one kind"
        return (
            f"{where}: the variant has {len(tally)} alleles ({', '.join(sorted(tally))}), which one dosage cannot "
            "count; correct it, or leave such variants out (--multiallelic skip)"
        )

    def _notes(self, notation: str, size: int, half: int, skipped: int) -> tuple[str, ...]:
        kinds = (
            (True, f"genotypes are {notation}; dosages count the alternate allele: the one that is stated, else the "
                   "second of both in order (G of A and G)"),
            (half, f"{half:,} calls are half missing and count as missing"),
            (skipped, f"{skipped:,} of {len(self.codes):,} variants have more than two alleles and are left out"),
            (size != _DIPLOID, f"dosages are 2 x the share of alternate alleles, since calls have {size} alleles"),
        )  # fmt: skip
        return tuple(text for there, text in kinds if there)


def _are_numbered(calls: Sequence[Call]) -> bool:
    """Say whether alleles are counted from 0, the reference, as in VCF: such numbers are no names."""
    seen = {allele for call in calls for allele in call} - {_LOST}
    return _ZERO in seen and all(allele.isdecimal() for allele in seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dosages:
    dosage: FloatArray
    half: list[int]
    ref: str
    alt: str


class _Alleles:
    """What variants with the same cells and the same declared alleles have in common, found once."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls = calls
        self._known: dict[tuple[tuple[int, ...], tuple[str, str]], _Dosages | None] = {}

    def of(self, codes: tuple[int, ...], stated: tuple[str, str]) -> _Dosages | None:
        """Return the dosage of each cell, or None where there are more than two alleles, or others than stated."""
        key = codes, stated
        if key not in self._known:
            self._known[key] = self._find(codes, stated)
        return self._known[key]

    def _find(self, codes: tuple[int, ...], stated: tuple[str, str]) -> _Dosages | None:
        calls = {code: self._calls[code] for code in codes}
        named = {allele for allele in stated if allele}
        if _GAP not in named and not any("+" in call for call in calls.values()):
            calls = {code: call for code, call in calls.items() if {*call} != {_GAP}}
            if any(_GAP in call for call in calls.values()):
                return None
        seen = {allele for call in calls.values() for allele in call} - {_LOST}
        if len(seen | named) > _DIPLOID or _mixed(seen):
            return None
        ref, alt = _in_order(seen, *stated)
        dosage = np.full(len(self._calls), np.nan, dtype=np.float32)
        half = []
        for code, call in calls.items():
            if _LOST in call:
                half.append(code)
            elif call:
                dosage[code] = _DIPLOID * call.count(alt) / len(call) if alt else 0.0
        return _Dosages(dosage=dosage, half=half, ref=ref, alt=alt)


def _mixed(alleles: Collection[str]) -> bool:
    """Say whether some are numbers and some letters: 1 may be A, then."""
    return len({allele.isdecimal() for allele in alleles}) > 1


def _in_order(seen: set[str], ref: str, alt: str) -> tuple[str, str]:
    """Return reference and alternate allele: as stated, else in order."""
    if not ref and not alt:
        both = sorted(seen, key=lambda allele: (len(allele), allele) if allele.isdecimal() else (0, allele))
        return both[0] if both else "", both[1] if len(both) == _DIPLOID else ""
    others = sorted(seen - {ref, alt})
    other = others[0] if others else ""
    return ref or other, alt or other
