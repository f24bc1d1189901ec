"""Which known motifs a motif looks like: JASPAR, compared by TOMTOM, checked against shuffles of the motif itself.

TOMTOM's p alone is no evidence: column-shuffled filters match long targets at p = 1e-10, and a motif of few bases
matches something in any large collection. Here a match counts when copies of the motif with their columns in another
order, which have the same bases and the same information, do not find a better one.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from automl_pheno import progress
from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.motifs.pwm import (
    consensus,
    enough_information,
    frequencies_of,
    informative_part,
    likeness,
)
from automl_pheno.explain.parts.protocol import NotApplicableError

PACKAGES = ("memelite", "pyjaspar")
COLLECTIONS = (("CORE", None), ("POLII", "JASPAR2020"))
"""Collection and release; None is the newest. JASPAR2020 is the last release with POLII, where the TATA box is."""
LONGEST = 20
"""Longer targets, bp, are left out: they find a good stretch for anything."""
SHUFFLES = 250
BEST = 5
ACCEPTED = 0.05
SAME = 0.9
TOO_ALIKE = 20
"""Draws for a shuffle that is not the query again."""

Compare = Callable[[Sequence[FloatArray], Sequence[FloatArray], int], "tuple[FloatArray, ...]"]
"""``compare(queries, targets, best)``: p, overlap, strand and target of the `best` matches of each query, by p."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """A known motif.

    Attributes
    ----------
    matrix_id, name, collection
        As ``MA0108.3``, ``TBP``, ``CORE``.
    group, species
        Taxonomic group and species, comma-separated; empty where not known.
    frequencies
        Shape (width, 4).
    """

    matrix_id: str
    name: str
    collection: str
    group: str
    species: str
    frequencies: FloatArray


def check_packages() -> None:
    """Raise NotApplicableError where the packages for known motifs are not installed."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        msg = f"matching known motifs needs {' and '.join(missing)}: pip install 'automl-pheno[motifs]'"
        raise NotApplicableError(msg)


@functools.lru_cache(maxsize=1)
def jaspar_targets() -> tuple[tuple[Target, ...], tuple[str, ...]]:
    """Return the newest version of every JASPAR motif of CORE and POLII up to 20 bp, and which releases they are of.

    They are read from the database files that pyjaspar brings, in three queries each; its own functions ask several
    queries a motif, which takes half a minute.

    Raises
    ------
    NotApplicableError
        The packages are not installed.
    """
    check_packages()
    from pyjaspar import jaspardb

    found: list[Target] = []
    said: list[str] = []
    for collection, release in COLLECTIONS:
        database = jaspardb() if release is None else jaspardb(release=release)
        with closing(database.conn) as connection:
            members = _read(connection, collection)
        found += members
        said.append(f"{collection} of {database.release}: {len(members)}")
    return tuple(found), tuple(said)


def _read(connection: sqlite3.Connection, collection: str) -> list[Target]:
    matrices: dict[str, tuple[int, int, str]] = {}
    for number, base, version, name in connection.execute(
        "SELECT ID, BASE_ID, VERSION, NAME FROM MATRIX WHERE COLLECTION = ?", (collection,)
    ):
        if base not in matrices or int(version) > matrices[base][1]:
            matrices[base] = (int(number), int(version), str(name))
    counts: dict[int, dict[tuple[int, str], float]] = {}
    for number, row, column, value in connection.execute(
        "SELECT d.ID, d.row, d.col, d.val FROM MATRIX_DATA d JOIN MATRIX m ON m.ID = d.ID WHERE m.COLLECTION = ?",
        (collection,),
    ):
        counts.setdefault(int(number), {})[int(column), str(row)] = float(value)
    groups = _annotations(connection, "SELECT ID, VAL FROM MATRIX_ANNOTATION WHERE TAG = 'tax_group'")
    species = _annotations(connection, "SELECT s.ID, t.SPECIES FROM MATRIX_SPECIES s JOIN TAX t ON t.TAX_ID = s.TAX_ID")
    targets = []
    for base, (number, version, name) in sorted(matrices.items()):
        cells = counts.get(number, {})
        columns = sorted({column for column, _ in cells})
        if not columns or len(columns) > LONGEST:
            continue
        matrix = np.array([[cells.get((column, letter), 0.0) for letter in "ACGT"] for column in columns])
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12)
        targets.append(
            Target(
                matrix_id=f"{base}.{version}",
                name=name,
                collection=collection,
                group=groups.get(number, ""),
                species=species.get(number, ""),
                frequencies=frequencies_of(share * 100.0),  # some are counts, some are shares already
            )
        )
    return targets


def _annotations(connection: sqlite3.Connection, query: str) -> dict[int, str]:
    found: dict[int, list[str]] = {}
    for number, value in connection.execute(query):
        found.setdefault(int(number), []).append(str(value))
    return {number: ", ".join(sorted(set(values))) for number, values in found.items()}


def tomtom(queries: Sequence[FloatArray], targets: Sequence[FloatArray], best: int) -> tuple[FloatArray, ...]:
    """Compare by memelite's TOMTOM; see `Compare`. Its first call on a machine compiles for a minute or more."""
    from memelite import tomtom as compare

    found = compare(
        [np.ascontiguousarray(query.T, dtype=np.float64) for query in queries],
        [np.ascontiguousarray(target.T, dtype=np.float64) for target in targets],
        n_nearest=best,
    )
    p, _, _, overlap, strand, target = (np.asarray(part) for part in found)
    return p, overlap, strand, target


def match(
    queries: Mapping[str, FloatArray],
    targets: Sequence[Target],
    *,
    rng: np.random.Generator,
    compare: Compare = tomtom,
) -> pd.DataFrame:
    """Return the best matches of each query, with what shuffles of the query find.

    Parameters
    ----------
    queries
        Name -> base frequencies, shape (width, 4). They are trimmed to the informative columns; those that say too
        little (`enough_information`) are left out.
    rng
        For the shuffles.

    Returns
    -------
    Five rows a query, by p: ``query, consensus, target_id, target_name, collection, group, species, p, null_p, q,
    overlap, strand, accepted``. ``null_p``: share of the column-shuffled copies whose best match is at least as good
    (the copy itself counted, so never 0). ``q``: Benjamini & Hochberg over the queries. Accepted at q <= 0.05.
    """
    kept: dict[str, FloatArray] = {}
    for name, frequencies in queries.items():
        part = frequencies[informative_part(frequencies)]
        if len(part) and enough_information(part):
            kept[name] = part
    if not kept or not targets:
        empty: pd.DataFrame = pd.DataFrame(columns=list(_COLUMNS)).astype({"accepted": bool})
        return empty
    matrices = [target.frequencies for target in targets]
    progress.tick("comparing motifs with JASPAR (the first time compiles for a minute)", 0.0)
    p, overlap, strand, found = compare(list(kept.values()), matrices, min(BEST, len(targets)))
    rows: list[dict[str, Any]] = []
    for number, (name, frequencies) in enumerate(kept.items()):
        progress.tick("comparing motifs with JASPAR", number / len(kept))
        copies = shuffles(frequencies, SHUFFLES, rng)
        null = compare(copies, matrices, 1)[0][:, 0] if copies else np.zeros(0)
        for place in range(p.shape[1]):
            target = targets[int(found[number, place])]
            value = float(p[number, place])
            rows.append(
                {
                    "query": name,
                    "consensus": consensus(frequencies),
                    "target_id": target.matrix_id,
                    "target_name": target.name,
                    "collection": target.collection,
                    "group": target.group,
                    "species": target.species,
                    "p": value,
                    "null_p": (1.0 + float((null <= value).sum())) / (1.0 + len(null)),
                    "overlap": int(overlap[number, place]),
                    "strand": "-" if strand[number, place] else "+",
                    "best": place == 0,
                }
            )
    table: pd.DataFrame = pd.DataFrame(rows)
    table["q"] = _q_values(table)
    table["accepted"] = (table["q"] <= ACCEPTED).to_numpy(dtype=bool)
    ordered: pd.DataFrame = table[list(_COLUMNS)]
    return ordered


_COLUMNS = (
    "query", "consensus", "target_id", "target_name", "collection", "group", "species", "p", "null_p", "q", "overlap",
    "strand", "accepted",
)  # fmt: skip


def shuffles(frequencies: FloatArray, count: int, rng: np.random.Generator) -> list[FloatArray]:
    """Return copies with their columns in random order, none of which shows the motif itself again.

    Fewer than `count`, or none, where there are no such orders (all columns alike).
    """
    copies: list[FloatArray] = []
    for _ in range(TOO_ALIKE * count):
        if len(copies) == count:
            break
        copy = frequencies[rng.permutation(len(frequencies))]
        if likeness(copy - 0.25, frequencies - 0.25) < SAME:
            copies.append(copy)
    return copies


def _q_values(table: pd.DataFrame) -> FloatArray:
    """Return the rate of false matches if all with a null_p this small are taken, queries counted once."""
    best = np.sort(table.loc[table["best"], "null_p"].to_numpy(dtype=np.float64))
    p = table["null_p"].to_numpy(dtype=np.float64)
    at = np.unique(p)
    rate = np.minimum(at * len(best) / np.maximum(np.searchsorted(best, at, side="right"), 1), 1.0)
    rate = np.minimum.accumulate(rate[::-1])[::-1]
    return np.asarray(rate[np.searchsorted(at, p)])
