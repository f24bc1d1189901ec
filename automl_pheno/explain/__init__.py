"""Why a predictor predicts: contributions of positions and variants, checked to add up."""

from automl_pheno.explain import additive as _additive  # noqa: F401  registers linear, mean
from automl_pheno.explain import network as _network  # noqa: F401  registers deeplift, expected_gradients
from automl_pheno.explain import permutation as _permutation  # noqa: F401  registers permutation
from automl_pheno.explain.attribution import Attribution
from automl_pheno.explain.importance import importance, recovery
from automl_pheno.explain.motifs import FoundMotif, motif_summary, motif_table
from automl_pheno.explain.registry import EXPLAINERS, ExplainError, UnsupportedLayerError
from automl_pheno.explain.run import explain
from automl_pheno.explain.write import write_explanation

__all__ = [
    "EXPLAINERS",
    "Attribution",
    "ExplainError",
    "FoundMotif",
    "UnsupportedLayerError",
    "explain",
    "importance",
    "motif_summary",
    "motif_table",
    "recovery",
    "write_explanation",
]
