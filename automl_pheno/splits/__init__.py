"""A dataset to a `Split` and its card.

The way is groupings (``groups.py``), their union, assignment (``assign.py``), card (``card.py``), all called by
``make.py``. Groupings by sequence similarity (``similarity.py``) and relatedness (``relatedness.py``) register
themselves in `GROUPINGS`; ``purge.py`` comes between assignment and card, ``audit.py`` after it, by code of its own.
"""

from automl_pheno.splits.assign import assign
from automl_pheno.splits.card import make_card
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.groups import GROUPINGS, Found, Groups, make_groups
from automl_pheno.splits.make import check_matches, make_split, read_split, write_split
from automl_pheno.splits.pairs import Pairs, no_pairs
from automl_pheno.splits.split import SETS, Fold, Split

__all__ = [
    "GROUPINGS",
    "SETS",
    "Fold",
    "Found",
    "Groups",
    "Pairs",
    "Split",
    "SplitConfig",
    "assign",
    "check_matches",
    "make_card",
    "make_groups",
    "make_split",
    "no_pairs",
    "read_split",
    "write_split",
]
