"""What is learnt about inputs and trait from training rows alone, before a predictor sees them.

``config.py`` says what may be asked for, ``apply.py`` learns and applies it; ``variants.py``, ``imputation.py``,
``phenotype.py`` and ``weights.py`` are its parts.
"""

from automl_pheno.curation.apply import Curation, check_suits, learn
from automl_pheno.curation.config import CurationConfig, curation_config

__all__ = ["Curation", "CurationConfig", "check_suits", "curation_config", "learn"]
