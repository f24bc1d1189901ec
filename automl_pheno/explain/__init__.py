"""Why a predictor predicts: contributions of positions and variants, checked to add up."""

from automl_pheno.explain import methods as _methods  # noqa: F401  registers the explainers
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.importance import importance, recovery
from automl_pheno.explain.motifs.seqlets import FoundMotif, motif_summary, motif_table
from automl_pheno.explain.mutagenesis.dosages import dosage_effects
from automl_pheno.explain.mutagenesis.motif_effects import ablate, marginalise, shuffled_backgrounds, spacing
from automl_pheno.explain.mutagenesis.saturation import saturation
from automl_pheno.explain.mutagenesis.surrogate import fit_surrogate, mutant_library
from automl_pheno.explain.parts import PARTS, Part, PartRequest, Parts, run_parts
from automl_pheno.explain.registry import EXPLAINERS, ExplainError, UnsupportedLayerError
from automl_pheno.explain.run import explain
from automl_pheno.explain.scoring import score_function
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
    "ablate",
    "dosage_effects",
    "explain",
    "fit_surrogate",
    "importance",
    "marginalise",
    "motif_summary",
    "motif_table",
    "mutant_library",
    "recovery",
    "run_parts",
    "saturation",
    "score_function",
    "shuffled_backgrounds",
    "spacing",
    "write_explanation",
]
