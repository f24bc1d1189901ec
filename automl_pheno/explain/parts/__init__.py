"""Parts of an explanation beside the attributions. Importing this registers them, in the order in which they run."""

# ruff: noqa: I001  # a part may read what those before it found
from automl_pheno.explain.parts.protocol import PARTS, Counterpart, NotApplicableError, Part, PartRequest
from automl_pheno.explain.parts import motifs as _motifs  # noqa: F401
from automl_pheno.explain.parts import filters as _filters  # noqa: F401
from automl_pheno.explain.parts import modisco as _modisco  # noqa: F401
from automl_pheno.explain.parts import matches as _matches  # noqa: F401
from automl_pheno.explain.parts import mutagenesis as _mutagenesis  # noqa: F401
from automl_pheno.explain.parts import surrogate as _surrogate  # noqa: F401
from automl_pheno.explain.parts import loci as _loci  # noqa: F401
from automl_pheno.explain.parts import interactions as _interactions  # noqa: F401
from automl_pheno.explain.parts import stability as _stability  # noqa: F401
from automl_pheno.explain.parts import counterpart as _counterpart  # noqa: F401
from automl_pheno.explain.parts.run import ALL, ON_REQUEST, Parts, check_parts, run_parts

__all__ = [
    "ALL",
    "ON_REQUEST",
    "PARTS",
    "Counterpart",
    "NotApplicableError",
    "Part",
    "PartRequest",
    "Parts",
    "check_parts",
    "run_parts",
]
