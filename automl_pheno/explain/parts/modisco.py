"""Part "modisco": motif discovery by TF-MoDISco. Runs when it is asked for, since it takes up to a minute."""

from __future__ import annotations

from automl_pheno.explain.motifs.discovery import LEIDEN_RUNS, SEQLETS, SEQUENCES, discover, settings_for
from automl_pheno.explain.motifs.seqlets import motif_arrays, motif_meme, motif_table, places_table
from automl_pheno.explain.parts.motifs import position_facts, position_notes
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest


@PARTS.add("modisco")
def modisco(request: PartRequest) -> Part:
    """Return the motifs that TF-MoDISco finds in the hypothetical contributions, and their places.

    Raises
    ------
    NotApplicableError
        Genotypes, no modisco-lite, no hypothetical contributions, or too few or too short sequences.
    """
    if request.attribution.kind != "sequence":
        msg = "motifs are patterns of bases; the inputs are genotypes"
        raise NotApplicableError(msg)
    found = discover(request.attribution, rng=request.rng)
    settings = settings_for(request.attribution.inputs.width)
    notes = () if found else ("TF-MoDISco finds no pattern",)
    return Part(
        tables={"modisco": motif_table(found), "modisco_places": places_table(found, request.attribution)},
        arrays={"modisco": motif_arrays(found)},
        texts={"modisco.meme": motif_meme(found)},
        facts={
            "source": "modisco",
            "motifs": len(found),
            "samples": min(len(request.attribution), SEQUENCES),
            "window": settings.window,
            "flank": settings.flank,
            "most_seqlets": SEQLETS,
            "leiden_runs": LEIDEN_RUNS,
            **position_facts(),
        },
        notes=(*notes, *position_notes(found)),
    )
