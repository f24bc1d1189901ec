"""Parts of an explanation beside the attributions. Importing this registers them, in the order in which they run."""

from automl_pheno.explain.parts.protocol import PARTS, Counterpart, NotApplicableError, Part, PartRequest

__all__ = ["PARTS", "Counterpart", "NotApplicableError", "Part", "PartRequest"]
