"""A dataset to a `Split`, proven by an audit, and its card.

The way (``draw.py``, ``make.py``): groupings, each a function in a file of its own, registered in `GROUPINGS` (labels
that are never cut, and pairs that are alike); their union; large groups of pairs are cut (``cut.py``); assignment
(``parts.py``, ``assign.py``); purge (``purge.py``); audit by code that shares nothing with the groupings
(``audit/``); how the sides differ (``balance.py``); card (``card.py``). Libraries of mutants are split by what is
extrapolated to (``library.py``).
"""

from automl_pheno.splits import imported_pairs, overlap, populations, relatedness, similarity
from automl_pheno.splits.assign import assign
from automl_pheno.splits.audit.rules import AuditRules, Leak, rules_for
from automl_pheno.splits.audit.run import Audit, audit_split
from automl_pheno.splits.card import make_card
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.draw import Drawn, draw_split
from automl_pheno.splits.file import check_matches, read_split, write_split
from automl_pheno.splits.groups import GROUPINGS, Found, Groups, make_groups
from automl_pheno.splits.imported import ImportedSplit, read_any_split
from automl_pheno.splits.make import MadeSplit, make_split
from automl_pheno.splits.pairs import Pairs, no_pairs
from automl_pheno.splits.split import SETS, Fold, Split

__all__ = [
    "GROUPINGS",
    "SETS",
    "Audit",
    "AuditRules",
    "Drawn",
    "Fold",
    "Found",
    "Groups",
    "ImportedSplit",
    "Leak",
    "MadeSplit",
    "Pairs",
    "Split",
    "SplitConfig",
    "assign",
    "audit_split",
    "check_matches",
    "draw_split",
    "imported_pairs",
    "make_card",
    "make_groups",
    "make_split",
    "no_pairs",
    "overlap",
    "populations",
    "read_any_split",
    "read_split",
    "relatedness",
    "rules_for",
    "similarity",
    "write_split",
]
