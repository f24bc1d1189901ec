"""Part "matches": known motifs that the motifs and filters look like."""

from __future__ import annotations

import pandas as pd

from automl_pheno.data.dataset import FloatArray
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest

MOST = 12
"""Queries of each kind: each costs its shuffles, and makes chance matches of the others likelier."""


@PARTS.add("matches")
def matches(request: PartRequest) -> Part:
    """Return which JASPAR motifs the motifs and the most needed filters look like.

    Raises
    ------
    NotApplicableError
        The packages are not installed, or no motifs and no filters were found before.
    """
    from automl_pheno.explain.motifs.jaspar import ACCEPTED, SHUFFLES, check_packages, jaspar_targets, match

    queries = {
        "motif": _matrices(request.done.get("motifs"), "motifs"),
        "modisco": _matrices(request.done.get("modisco"), "modisco"),
        "filter": _filters(request.done.get("filters")),
    }
    if not any(queries.values()):
        msg = "there are no motifs and no filters to compare with known ones"
        raise NotApplicableError(msg)
    check_packages()
    targets, releases = jaspar_targets()
    tables = []
    for kind, matrices in queries.items():
        table = match(matrices, targets, rng=request.rng)
        table.insert(0, "kind", kind)
        tables.append(table)
    filled = [table for table in tables if len(table)]
    table = pd.concat(filled, ignore_index=True) if filled else tables[0]
    best = table[table["accepted"]].drop_duplicates(["kind", "query"])
    return Part(
        tables={"matches": table},
        facts={
            "collections": list(releases),
            "queries": {kind: len(matrices) for kind, matrices in queries.items()},
            "compared": int(table.drop_duplicates(["kind", "query"]).shape[0]),
            "accepted": len(best),
            "shuffles": SHUFFLES,
            "rule": (
                f"q <= {ACCEPTED} over the queries of a kind, from the share of column-shuffled copies of the query "
                "that find at least as good a match anywhere in the collections"
            ),
        },
        notes=tuple(
            f"{row['kind']} {row['query']} ({row['consensus']}) looks like {row['target_name']} ({row['target_id']}, "
            f"{row['species'] or row['group'] or 'species not stated'})"
            for row in best.to_dict("records")
        ),
    )


def _matrices(part: Part | None, name: str) -> dict[str, FloatArray]:
    """Return the first `MOST` PWMs of a part, by number."""
    arrays = {} if part is None else part.arrays.get(name, {})
    numbers = sorted(int(key.removeprefix("frequencies_")) for key in arrays if key.startswith("frequencies_"))
    return {str(number): arrays[f"frequencies_{number}"] for number in numbers[:MOST]}


def _filters(part: Part | None) -> dict[str, FloatArray]:
    """Return the most needed filter of each of the `MOST` most needed groups."""
    if part is None:
        return {}
    table = part.tables["filters"].sort_values(["group_nullification", "nullification"], ascending=False)
    chosen = table.drop_duplicates("group")["filter"].head(MOST)
    return {str(number): part.arrays["filters"][f"frequencies_{number}"] for number in chosen}
