"""Parts of an explanation beside the attributions. Importing this registers them, in the order in which they run."""

from automl_pheno.explain.parts.protocol import PARTS, Counterpart, NotApplicableError, Part, PartRequest
from automl_pheno.explain.parts.run import Parts, check_parts, run_parts

__all__ = [
    "PARTS",
    "Counterpart",
    "NotApplicableError",
    "Part",
    "PartRequest",
    "Parts",
    "check_parts",
    "run_parts",
]
