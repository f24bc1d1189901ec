"""Why a predictor predicts: contributions of positions and variants, checked to add up."""

from automl_pheno.explain import methods as _methods  # noqa: F401  registers the explainers
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.importance import importance, recovery
from automl_pheno.explain.motifs.seqlets import FoundMotif, motif_summary, motif_table
from automl_pheno.explain.parts import PARTS, Part, PartRequest, Parts, run_parts
from automl_pheno.explain.registry import EXPLAINERS, ExplainError, UnsupportedLayerError
from automl_pheno.explain.run import explain
from automl_pheno.explain.write import write_explanation

__all__ = [
    "EXPLAINERS",
    "PARTS",
    "Attribution",
    "ExplainError",
    "FoundMotif",
    "Part",
    "PartRequest",
    "Parts",
    "UnsupportedLayerError",
    "explain",
    "importance",
    "motif_summary",
    "motif_table",
    "recovery",
    "run_parts",
    "write_explanation",
]
