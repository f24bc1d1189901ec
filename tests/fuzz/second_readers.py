"""A maker of odd files and a second reader for each format: pandas, cyvcf2, bed-reader, pyfaidx, or counting by hand.

A second reader returns what it reads, by what is compared: ``ids``, ``variants``, ``values`` (samples, variants),
``texts`` (sequences), ``traits``; or None where it refuses the file or cannot be asked.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from odd_files import Grid, Rng, damage, plain, render, spoil

from automl_pheno.data.ids import ID_NAMES
from automl_pheno.data.options import USUAL_MISSING

Read = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A format to try: `make` writes files into a folder and returns the main one and the words for `read_dataset`."""

    reader: str
    make: Callable[[Rng, Path], tuple[Path, dict[str, Any]]]
    second: Callable[[Path, dict[str, Any]], Read | None]


TARGETS: dict[str, Target] = {}


def _target(reader: str, second: Callable[[Path, dict[str, Any]], Read | None]) -> Callable[..., Any]:
    def add(make: Callable[[Rng, Path], tuple[Path, dict[str, Any]]]) -> Any:
        TARGETS[make.__name__] = Target(reader=reader, make=make, second=second)
        return make

    return add


def _frame(path: Path, sep: str, **words: Any) -> pd.DataFrame | None:
    raw = plain(path.read_bytes())
    if raw is None:
        return None
    try:
        frame = pd.read_csv(
            io.BytesIO(raw), sep=sep, dtype=str, na_filter=False, encoding="utf-8-sig", index_col=False, **words
        )
    except (ValueError, pd.errors.ParserError, UnicodeError, pd.errors.ParserWarning):
        return None
    if frame.isna().any().any():
        return None
    return frame.map(str.strip).rename(columns=lambda name: str(name).strip())


def _id_column(frame: pd.DataFrame) -> str | None:
    """Return the only column that can hold the ids, by name."""
    named = [name for name in frame.columns if str(name).lower() in ID_NAMES or str(name).startswith("Unnamed")]
    return named[0] if len(named) == 1 and named[0] == "id" else None


def _number(cell: str) -> float:
    if cell in USUAL_MISSING:
        return np.nan
    return float(pd.to_numeric(pd.Series([cell]), errors="raise").astype(float).iloc[0])


def _numbers(frame: pd.DataFrame) -> np.ndarray | None:
    try:
        known = {cell: _number(cell) for cell in pd.unique(frame.to_numpy().ravel())}
    except (ValueError, TypeError, OverflowError):
        return None
    return np.array([[known[cell] for cell in row] for row in frame.to_numpy()], dtype=np.float64)


def _names(rng: Rng, n: int) -> list[str]:
    kinds = ("s{}", "BC_{}", "{}", "F{}_I{}", "line-{}", "0{}")
    kind = kinds[int(rng.integers(len(kinds)))]
    return [kind.format(number, number) for number in range(1, n + 1)]


def _sep(rng: Rng) -> str:
    return (",", ",", "\t", ";")[int(rng.integers(4))]


def _write(path: Path, grid: Grid, sep: str, rng: Rng, *, header: bool = True, often: float = 0.15) -> Path:
    path.write_bytes(damage(render(spoil(grid, rng, header=header), sep, rng), rng, often=often))
    return path


# --- tables and FASTA of sequences
def _sequence(rng: Rng, n: int = 30) -> str:
    letters = list("ACGT") if rng.random() < 0.7 else list("ACGTacgtNRYUu")
    return "".join(rng.choice(letters, n))


def _as_read(text: str) -> str:
    return text.upper().replace("U", "T")


def _second_table(path: Path, words: dict[str, Any]) -> Read | None:
    frame = _frame(path, words["sep"])
    if frame is None or "sequence" not in frame or _id_column(frame) is None:
        return None
    read: Read = {"texts": [_as_read(text) for text in frame["sequence"]], "ids": frame["id"].tolist()}
    if list(frame.columns).count("y") == 1:
        values = _numbers(frame[["y"]])
        read["traits"] = {"y": None if values is None else values[:, 0]}
    return read


@_target("table", _second_table)
def table(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n = int(rng.integers(2, 12))
    grid = [["id", "sequence", "y", "family"]]
    grid += [[name, _sequence(rng), f"{rng.normal():.4g}", str(rng.choice(["a", "b"]))] for name in _names(rng, n)]
    sep = _sep(rng)
    return _write(folder / "t.csv", grid, sep, rng), {"sep": sep}


def _second_fasta(path: Path, words: dict[str, Any]) -> Read | None:
    import pyfaidx

    del words
    raw = plain(path.read_bytes())
    if raw is None:
        return None
    if _uneven(raw):
        return None
    copy = path.with_name("second.fa")
    copy.write_bytes(raw.removeprefix(b"\xef\xbb\xbf"))
    try:
        with pyfaidx.Fasta(str(copy), as_raw=True, rebuild=True) as genome:
            return {
                "ids": (names := list(genome.keys())),
                "texts": [_as_read("".join(str(genome[name][:]).split())) for name in names],
            }
    except (pyfaidx.FastaIndexingError, ValueError, KeyError, OSError, UnicodeError, IndexError, TypeError):
        return None
    finally:
        for name in ("second.fa", "second.fa.fai"):
            path.with_name(name).unlink(missing_ok=True)


def _uneven(raw: bytes) -> bool:
    """Say whether lines of a record differ in length, or end as on old Macs: pyfaidx does not check that."""
    if raw.count(b"\r") != raw.count(b"\r\n"):
        return True
    for record in raw.split(b">")[1:]:
        lengths = [len(line) for line in record.splitlines()[1:]]
        if len({*lengths[:-1]}) > 1 or (len(lengths) > 1 and lengths[-1] > lengths[0]):
            return True
    return False


@_target("fasta", _second_fasta)
def fasta(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    lines = []
    for name in _names(rng, int(rng.integers(2, 8))):
        spoiled = spoil([[name, " words here"]], rng, header=False) if rng.random() < 0.2 else [[name, ""]]
        lines.append(">" + "".join(spoiled[0] if spoiled else [name]))
        text = _sequence(rng, int(rng.integers(6, 70)))
        lines += [text[start : start + 20] for start in range(0, len(text), 20)]
    if rng.random() < 0.2:
        lines.insert(
            int(rng.integers(len(lines) + 1)),
            str(rng.choice(["", ";comment", ">", "AC-GT", "ACGT*", "  ACGT", "AC GT"])),
        )
    end = "\r\n" if rng.random() < 0.2 else "\n"
    raw = (end.join(lines) + end).encode()
    path = folder / "x.fa"
    path.write_bytes(damage(raw, rng))
    return path, {}


# --- genotypes as tables
def _genotypes(rng: Rng, n: int, m: int) -> np.ndarray:
    frequency = rng.uniform(0.1, 0.9, m)
    return rng.binomial(2, frequency, (n, m))


def _second_dosage(path: Path, words: dict[str, Any]) -> Read | None:
    frame = _frame(path, words["sep"])
    if frame is None or _id_column(frame) is None or not all(name == "id" or name.startswith("rs") for name in frame):
        return None
    values = _numbers(frame.drop(columns="id"))
    read = {"ids": frame["id"].tolist(), "variants": [name for name in frame if name != "id"]}
    if words["shift"] and values is not None:
        if np.nanmin(values) < 0:
            values = values + 1
        elif np.nanmax(values) > 1:
            return None
    return {**read, "values": values}


@_target("dosage", _second_dosage)
def dosage(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n, m = int(rng.integers(4, 25)), int(rng.integers(3, 15))
    values = _genotypes(rng, n, m)
    kind = int(rng.integers(4))
    if kind == 0:
        cells = [[f"{value:.3g}" for value in row] for row in np.clip(values + rng.normal(0, 0.1, values.shape), 0, 2)]
    else:
        cells = [[str(value - (kind == 1)) for value in row] for row in values]
    for row in cells:
        for place in range(m):
            if rng.random() < 0.03:
                row[place] = str(rng.choice(["", "NA", "."]))
    grid = [["id", *(f"rs{number}" for number in range(m))]]
    grid += [[name, *row] for name, row in zip(_names(rng, n), cells, strict=True)]
    sep = _sep(rng)
    return _write(folder / "g.csv", grid, sep, rng), {"sep": sep, "shift": kind == 1}


_LOST = ("", "NA", "N", "NN", "--", "-", "?", ".", "./.", "N/N", "None", "nan", "null", "NaN")
_IUPAC = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}


def _alleles(cell: str) -> str | None:
    """Return the two letters of a call, "" where it is missing, None where it is none."""
    cell = cell.upper() if cell not in ("None", "nan", "null", "NaN") else cell
    if cell in _LOST:
        return ""
    pair = _IUPAC.get(cell, cell * 2 if len(cell) == 1 else cell.replace("/", "").replace("|", "").replace(" ", ""))
    return pair if len(pair) == 2 and set(pair) <= set("ACGT") else None


def _count(frame: pd.DataFrame, declared: list[tuple[str, str]] | None = None) -> np.ndarray | None:
    """Return how often the second allele in order, or the declared one, stands in each cell."""
    columns = []
    for number, name in enumerate(frame.columns):
        calls = [_alleles(cell) for cell in frame[name]]
        if any(call is None for call in calls):
            return None
        seen = sorted(set("".join(str(call) for call in calls)))
        pair = declared[number] if declared is not None else (*seen, "", "")[:2]
        if not {*seen} <= {*pair}:
            return None
        columns.append(
            [np.nan if not call else float(call.count(pair[1])) if pair[1] else 0.0 for call in map(str, calls)]
        )
    return np.array(columns).T


def _second_letters(path: Path, words: dict[str, Any]) -> Read | None:
    frame = _frame(path, words["sep"])
    if frame is None or _id_column(frame) is None or not all(name == "id" or name.startswith("rs") for name in frame):
        return None
    values = _count(frame.drop(columns="id"))
    if values is None:
        return None
    return {"ids": frame["id"].tolist(), "variants": [name for name in frame if name != "id"], "values": values}


def _letters(rng: Rng, n: int, m: int) -> tuple[list[list[str]], list[tuple[str, str]]]:
    values = _genotypes(rng, n, m)
    pairs = [tuple(sorted(rng.choice(list("ACGT"), 2, replace=False))) for _ in range(m)]
    kind = int(rng.integers(4))
    codes = {"".join(sorted(pair)): code for code, pair in _IUPAC.items()}

    def cell(value: int, pair: tuple[str, str]) -> str:
        if rng.random() < 0.03:
            return ("NN", "N/N", "N|N", "N")[kind]
        both = [(pair[0], pair[0]), pair, (pair[1], pair[1])][value]
        if kind == 3:
            return both[0] if value != 1 else codes["".join(sorted(both))]
        if rng.random() < 0.3:
            both = both[::-1]
        return ("", "/", "|")[kind].join(both)

    return [[cell(int(value), pair) for value, pair in zip(row, pairs, strict=True)] for row in values], pairs  # type: ignore[arg-type]


@_target("dosage", _second_letters)
def letters(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n, m = int(rng.integers(4, 25)), int(rng.integers(3, 15))
    cells, _ = _letters(rng, n, m)
    grid = [["id", *(f"rs{number}" for number in range(m))]]
    grid += [[name, *row] for name, row in zip(_names(rng, n), cells, strict=True)]
    sep = _sep(rng)
    return _write(folder / "g.csv", grid, sep, rng), {"sep": sep}


_HAPMAP = [
    "rs#",
    "alleles",
    "chrom",
    "pos",
    "strand",
    "assembly#",
    "center",
    "protLSID",
    "assayLSID",
    "panelLSID",
    "QCcode",
]


def _second_hapmap(path: Path, words: dict[str, Any]) -> Read | None:
    del words
    frame = _frame(path, "\t")
    if frame is None or list(frame.columns[: len(_HAPMAP)]) != _HAPMAP:
        return None
    declared = [tuple(text.split("/")) for text in frame["alleles"]]
    if any(len(pair) != 2 or not {*pair} <= {*"ACGT"} for pair in declared):
        return None
    calls = frame[frame.columns[len(_HAPMAP) :]].T
    values = _count(calls.set_axis([str(number) for number in range(len(frame))], axis=1), declared)  # type: ignore[arg-type]
    if values is None or {"", "."} & {*frame["rs#"]} or frame["rs#"].duplicated().any():
        return None
    return {"ids": [str(name) for name in calls.index], "variants": frame["rs#"].tolist(), "values": values}


@_target("hapmap", _second_hapmap)
def hapmap(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n, m = int(rng.integers(3, 12)), int(rng.integers(3, 12))
    cells, pairs = _letters(rng, n, m)
    grid = [[*_HAPMAP, *_names(rng, n)]]
    for number, pair in enumerate(pairs):
        calls = [row[number] for row in cells]
        alleles = "/".join(pair if rng.random() < 0.5 else pair[::-1])
        grid.append([f"rs{number}", alleles, "1", str(10 * number + 5), "+", *["NA"] * 6, *calls])
    return _write(folder / "x.hmp.txt", grid, "\t", rng), {}


def _second_transposed(path: Path, words: dict[str, Any]) -> Read | None:
    frame = _frame(path, words["sep"])
    if frame is None or list(frame.columns[:3]) != ["snp", "chr", "pos"]:
        return None
    if {"", "."} & {*frame["snp"]} or frame["snp"].duplicated().any():
        return None
    calls = frame[frame.columns[3:]].T
    read = {"ids": [str(name) for name in calls.index], "variants": frame["snp"].tolist()}
    if words["numbers"]:
        values = _numbers(calls)
    else:
        values = _count(calls.set_axis([str(number) for number in range(len(frame))], axis=1))
        if values is None:
            return None
    return {**read, "values": values}


@_target("dosage", _second_transposed)
def transposed(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n, m = int(rng.integers(3, 12)), int(rng.integers(3, 12))
    numbers = bool(rng.random() < 0.5)
    cells = [[str(value) for value in row] for row in _genotypes(rng, n, m)] if numbers else _letters(rng, n, m)[0]
    grid = [["snp", "chr", "pos", *_names(rng, n)]]
    for number, column in enumerate(zip(*cells, strict=True)):
        grid.append([f"rs{number}", "1", str(3 * number + 100), *column])
    sep = _sep(rng)
    return _write(folder / "x.csv", grid, sep, rng), {"sep": sep, "numbers": numbers}


# --- PLINK
_FIXED = ["FID", "IID", "PAT", "MAT", "SEX", "PHENOTYPE"]


_BLANKS = (b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x1f", b"\xc2\x85", b"\xc2\xa0", b"\xe2\x80")


def _second_raw(path: Path, words: dict[str, Any]) -> Read | None:
    frame = _frame(path, words["sep"])
    raw_bytes = plain(path.read_bytes()) or b""
    # quotes mean nothing to PLINK; control characters and hard blanks part fields here, and not in pandas
    quoted = words["sep"] == " " and any(mark in raw_bytes for mark in (b'"', *_BLANKS))
    if frame is None or list(frame.columns[:6]) != _FIXED or quoted:
        return None
    frame = frame[(frame != "").any(axis=1)] if words["sep"] == " " else frame
    if frame["IID"].duplicated().any():
        return None
    names = [name for name in frame.columns[6:] if not name.endswith("_HET")]
    values = _numbers(frame[names])
    return {"ids": frame["IID"].tolist(), "values": values}


@_target("raw", _second_raw)
def raw(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n, m = int(rng.integers(3, 15)), int(rng.integers(1, 10))
    values = _genotypes(rng, n, m)
    grid = [[*_FIXED, *(f"rs{number}_{rng.choice(list('ACGT'))}" for number in range(m))]]
    for name, row in zip(_names(rng, n), values, strict=True):
        grid.append(["F1", name, "0", "0", str(rng.integers(3)), f"{rng.normal():.3g}",
                     *("NA" if rng.random() < 0.03 else str(value) for value in row)])  # fmt: skip
    sep = (" ", "\t")[int(rng.integers(2))]
    return _write(folder / "x.raw", grid, sep, rng), {"sep": sep}


def _second_ped(path: Path, words: dict[str, Any]) -> Read | None:
    del words
    raw_bytes = plain(path.read_bytes())
    listed = plain(path.with_suffix(".map").read_bytes())
    if raw_bytes is None or listed is None:
        return None
    try:
        rows = [line.split() for line in raw_bytes.decode("utf-8-sig").splitlines() if line.split()]
        places = [line.split() for line in listed.decode("utf-8-sig").splitlines() if line.split()]
    except UnicodeDecodeError:
        return None
    m = len(places)
    if any(len(row) != 6 + 2 * m or row[0].startswith("#") for row in rows) or len({row[1] for row in rows}) < len(
        rows
    ):
        return None
    calls = np.array([row[6:] for row in rows]).reshape(len(rows), m, 2)
    values = np.full((len(rows), m), np.nan)
    for variant in range(m):
        seen = sorted({*calls[:, variant].ravel().tolist()} - {"0"})
        if (
            len(seen) > 2
            or len({allele.isdecimal() for allele in seen}) > 1
            or any(allele not in [*"ACGTBDI123456789"] for allele in seen)
        ):
            return None
        known = (calls[:, variant] != "0").all(axis=1)
        count = (calls[:, variant] == seen[1]).sum(axis=1) if len(seen) == 2 else np.zeros(len(rows))
        values[known, variant] = count[known]
    return {"ids": [row[1] for row in rows], "values": values}


@_target("ped", _second_ped)
def ped(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n, m = int(rng.integers(2, 12)), int(rng.integers(1, 10))
    values = _genotypes(rng, n, m)
    pairs = [sorted(rng.choice(list("ACGT" if rng.random() < 0.7 else "1234"), 2, replace=False)) for _ in range(m)]
    grid = []
    for name, row in zip(_names(rng, n), values, strict=True):
        alleles = []
        for value, pair in zip(row, pairs, strict=True):
            alleles += ["0", "0"] if rng.random() < 0.03 else [pair[int(value > 1)], pair[int(value > 0)]]
        grid.append(["F1", name, "0", "0", "1", "-9", *map(str, alleles)])
    path = _write(folder / "x.ped", grid, " ", rng, header=False)
    listed = [["1", f"rs{number}", "0", str(number + 1)] for number in range(m)]
    _write(path.with_suffix(".map"), listed, "\t", rng if rng.random() < 0.2 else _Calm(), header=False)
    return path, {}


class _Calm(np.random.Generator):
    """Random numbers with which nothing is spoilt."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def integers(self, low: Any, high: Any = None, **words: Any) -> Any:
        return 0

    def random(self, *args: Any, **words: Any) -> Any:
        return 0.5


def _second_plink(path: Path, words: dict[str, Any]) -> Read | None:
    from bed_reader import open_bed

    del words
    heads = [path.with_suffix(ending).read_bytes()[:4] for ending in (".bim", ".fam")]
    if any(head.startswith((b"\x1f\x8b", b"\xef\xbb\xbf ")) for head in heads):
        return None
    try:
        with open_bed(path, num_threads=1) as bed:
            ids, variants = [str(name).strip() for name in bed.iid], [str(name).strip() for name in bed.sid]
            if len({*ids}) < len(ids) or len({*variants}) < len(variants) or {"", "."} & {*variants}:
                return None
            return {"ids": ids, "variants": variants, "values": bed.read(dtype=np.float32)}
    except Exception:  # noqa: BLE001 - whatever it refuses with
        return None


@_target("plink", _second_plink)
def plink(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    from bed_reader import to_bed

    n, m = int(rng.integers(2, 12)), int(rng.integers(1, 10))
    values = _genotypes(rng, n, m).astype(np.float32)
    values[rng.random(values.shape) < 0.05] = np.nan
    path = folder / "x.bed"
    to_bed(path, values)
    path.write_bytes(damage(path.read_bytes(), rng, often=0.2) if rng.random() < 0.3 else path.read_bytes())
    bim = [["1", f"rs{number}", "0", str(number + 1), "A", "G"] for number in range(m)]
    fam = [["F1", name, "0", "0", "1", f"{rng.normal():.3g}"] for name in _names(rng, n)]
    for ending, grid in ((".bim", bim), (".fam", fam)):
        _write(path.with_suffix(ending), grid, "\t", rng if rng.random() < 0.5 else _Calm(), header=False)
    return path, {}


# --- VCF
def _second_vcf(path: Path, words: dict[str, Any]) -> Read | None:
    del words
    return ASK.vcf(path)


def read_vcf(path: str) -> Read | None:
    """Read with cyvcf2, counting alleles one by one."""
    from cyvcf2 import VCF

    try:
        opened = VCF(path)
        samples, columns, places = list(opened.samples), [], []
        for variant in opened:
            if "GT" not in variant.FORMAT or len(variant.ALT) != 1 or variant.ALT[0] in ("*", "<*>", "<NON_REF>"):
                return None
            calls = [call[:-1] for call in variant.genotypes]
            if any(len(call) != 2 for call in calls):
                return None
            column = [np.nan if -1 in call else float(sum(allele == 1 for allele in call)) for call in calls]
            if "DS" in variant.FORMAT:
                doses = variant.format("DS").astype(np.float64)
                if doses.shape[1] != 1:
                    return None
                column = [one if np.isnan(dose) else dose for one, dose in zip(column, doses[:, 0], strict=True)]
            columns.append(column)
            places.append((str(variant.CHROM), int(variant.POS), str(variant.REF), str(variant.ALT[0])))
        if not columns:
            return None
        return {"ids": samples, "values": np.array(columns, dtype=np.float32).T, "places": places}
    except Exception:  # noqa: BLE001 - cyvcf2 raises bare Exception
        return None


@dataclass(slots=True)
class _Ask:
    """A process of its own for htslib, which a damaged file may take down."""

    pool: Any = field(default=None)

    def vcf(self, path: Path) -> Read | None:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from concurrent.futures.process import BrokenProcessPool

        if self.pool is None:
            self.pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        try:
            found: Read | None = self.pool.submit(read_vcf, str(path)).result(timeout=30)
        except (BrokenProcessPool, TimeoutError):
            self.close()
            return None
        return found

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
            self.pool = None


ASK = _Ask()


@_target("vcf", _second_vcf)
def vcf(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n, m = int(rng.integers(2, 10)), int(rng.integers(1, 10))
    values = _genotypes(rng, n, m)
    with_doses = rng.random() < 0.4
    head = ["##fileformat=VCFv4.2", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
            '##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">', "##contig=<ID=1>"]  # fmt: skip
    grid = [["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *_names(rng, n)]]
    for number in range(m):
        cells = []
        for value in values[:, number]:
            call = "./." if rng.random() < 0.05 else ("0/0", "0|1" if rng.random() < 0.5 else "1/0", "1/1")[value]
            dose = "." if rng.random() < 0.2 else f"{np.clip(value + rng.normal(0, 0.1), 0, 2):.3f}"
            cells.append(f"{call}:{dose}" if with_doses else call)
        key = "GT:DS" if with_doses else "GT"
        grid.append(["1", str(10 * number + 1), f"rs{number}", "A", "G", ".", "PASS", ".", key, *cells])
    spoiled = spoil(grid, rng, header=rng.random() < 0.8)
    end = "\r\n" if rng.random() < 0.1 else "\n"
    text = end.join([*head, *("\t".join(row) for row in spoiled)]) + end
    path = folder / "x.vcf"
    path.write_bytes(damage(text.encode("utf-8", errors="surrogatepass"), rng))
    return path, {}


# --- intervals, and tables of traits
_GENOME = "".join(np.random.default_rng(0).choice(list("ACGTN"), 200, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def _second_intervals(path: Path, words: dict[str, Any]) -> Read | None:
    import pyfaidx

    frame = _frame(path, "\t", header=None)
    if frame is None or frame.shape[1] != 6:
        return None
    texts = []
    with pyfaidx.Fasta(str(words["genome"]), as_raw=True) as genome:
        for chromosome, start, end, _, _, strand in frame.itertuples(index=False):
            if chromosome not in genome or not (start.isdecimal() and end.isdecimal()) or strand not in "+-.":
                return None
            text = str(genome[chromosome][int(start) : int(end)]).upper()
            texts.append(text.translate(_COMPLEMENT)[::-1] if strand == "-" else text)
    return {"texts": texts}


@_target("intervals", _second_intervals)
def intervals(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    genome = folder / "genome.fa"
    genome.write_text("".join(f">chr{number}\n{_GENOME[:100]}\n{_GENOME[100:]}\n" for number in (1, 2)))
    grid = []
    for name in _names(rng, int(rng.integers(2, 10))):
        start = int(rng.integers(0, 150))
        grid.append([f"chr{rng.integers(1, 3)}", str(start), str(start + int(rng.integers(1, 50))), name,
                     f"{rng.normal():.3g}", str(rng.choice(["+", "-", "."]))])  # fmt: skip
    return _write(folder / "x.bed", grid, "\t", rng, header=False), {"genome": genome}


def _second_traits(path: Path, words: dict[str, Any]) -> Read | None:
    frame = _frame(words["trait_table"], words["sep"])
    if frame is None or _id_column(frame) is None or list(frame.columns).count("y") != 1:
        return None
    values = _numbers(frame[["y"]])
    if values is None:
        return {"traits": {"y": None}}
    means = pd.Series(values[:, 0]).groupby(frame["id"].to_numpy()).mean()
    ids = [name for name in words["ids"] if name in means.index]
    return {"ids": ids, "traits": {"y": means.reindex(ids).to_numpy()}} if ids else None


@_target("table", _second_traits)
def traits(rng: Rng, folder: Path) -> tuple[Path, dict[str, Any]]:
    n = int(rng.integers(3, 15))
    names = _names(rng, n)
    inputs = folder / "x.fa"
    inputs.write_text("".join(f">{name}\n{_sequence(rng)}\n" for name in names))
    rows = [[name, f"{rng.normal():.4g}", str(rng.integers(5)), f"b{rng.integers(3)}"] for name in names]
    if rng.random() < 0.3:
        rows += [[row[0], f"{rng.normal():.4g}", row[2], row[3]] for row in rows[: n // 2]]
    sep = _sep(rng)
    listed = _write(folder / "t.csv", [["id", "y", "plot", "block"], *rows], sep, rng)
    return inputs, {"trait_table": listed, "sep": sep, "ids": names}
