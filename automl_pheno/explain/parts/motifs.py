"""Part "motifs": patterns that recur where contributions are largest."""

from __future__ import annotations

from automl_pheno.explain.motifs import places, windows
from automl_pheno.explain.motifs.seqlets import (
    MOST_BY_CHANCE,
    FoundMotif,
    motif_arrays,
    motif_meme,
    motif_summary,
    motif_table,
    places_table,
)
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest

WIDTH, FEWEST = 10, 10


@PARTS.add("motifs")
def motifs(request: PartRequest) -> Part:
    """Return motifs gathered from seqlets of the contributions, and their places.

    Raises
    ------
    NotApplicableError
        Genotypes.
    """
    if request.attribution.kind != "sequence":
        msg = "motifs are patterns of bases; the inputs are genotypes"
        raise NotApplicableError(msg)
    found = motif_summary(request.attribution, width=WIDTH, fewest_seqlets=FEWEST, rng=request.rng)
    notes = () if found else ("no pattern recurs in the contributions often enough to be called a motif",)
    return Part(
        tables={"motifs": motif_table(found), "motif_places": places_table(found, request.attribution)},
        arrays={"motifs": motif_arrays(found)},
        texts={"motifs.meme": motif_meme(found)},
        facts={
            "source": "seqlets",
            "motifs": len(found),
            "samples": len(request.attribution),
            "window": WIDTH,
            "fewest_seqlets": FEWEST,
            "false_share": windows.FALSE_SHARE,
            "most_by_chance": MOST_BY_CHANCE,
            **position_facts(),
        },
        notes=(*notes, *position_notes(found)),
    )


def position_facts() -> dict[str, object]:
    """Return how it was told whether a motif is positional."""
    return {
        "positional": (
            f"the share of a motif's contribution within {places.NEAR} bp of the base around which "
            f"most lies (within {places.SHARP} bp) is compared with that of "
            f"{places.DRAWS} draws of the same places evenly along the sequences: p <= {places.SIGNIFICANT} and "
            f"{places.LEAST_RATIO} times as much"
        ),
    }


def position_notes(found: list[FoundMotif]) -> tuple[str, ...]:
    """Return a sentence for each motif that is bound to a place."""
    return tuple(
        f"motif {row['motif']} ({row['consensus']}) gathers {places.place_words(row)}: {row['share_near_mode']:.0%} of "
        f"its contribution lies within {places.NEAR} bp (by chance {row['share_by_chance']:.0%})"
        for row in motif_table(found).to_dict("records")
        if places.place_of(row) is not None
    )
