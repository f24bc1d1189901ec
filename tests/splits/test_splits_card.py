import json
from dataclasses import replace

import numpy as np
import pytest

from automl_pheno.errors import SplitError
from automl_pheno.simulate.leaks import plant_sequence_leaks, simulate_unrelated
from automl_pheno.splits import SplitConfig, make_groups
from automl_pheno.splits.audit.rules import AuditRules, rules_from_json
from automl_pheno.splits.audit.run import audit_split
from automl_pheno.splits.card import make_card
from automl_pheno.splits.split import Split


def made(folds=0):
    data = simulate_unrelated(120, 60, np.random.default_rng(0))
    sets = np.resize(["train", "train", "train", "validation", "test", "purged"], 120).astype("<U10")
    fold = np.full(120, -1)
    if folds:
        sets[sets == "validation"] = "train"
        fold[sets == "train"] = np.arange((sets == "train").sum()) % folds
    return data, Split(ids=data.ids, group=np.arange(120), set=sets, fold=fold)


def card(data, split, audit=None, groups=(), **config):
    found = make_groups(data, groups)
    return make_card(data, "trait", split, found, SplitConfig(groups=groups, **config), ["a note"], audit=audit)


@pytest.mark.parametrize("folds", [0, 3])
def test_a_card_without_an_audit_claims_nothing(folds):
    data, split = made(folds)
    facts = card(data, split, groups=("random",))
    assert facts["schema"] == 2
    assert facts["statement"].startswith("random split: ")
    assert "similarity and relatedness NOT checked" in facts["statement"]
    assert facts["audit"] is None
    assert facts["notes"] == ["a note"]
    assert facts["sizes"]["purged"] == 20
    assert not any("purged" in row["between"] for row in facts["balance"])
    assert sum(facts["sizes"].values()) == 120
    json.dumps(facts, allow_nan=False)


def test_a_card_says_what_the_audit_showed_and_no_more():
    data, split = made()
    audit = audit_split(data, "trait", split, AuditRules(budget=0.1), np.random.default_rng(0))
    facts = make_card(
        data, "trait", split, make_groups(data), SplitConfig(), audit=audit, extra={"purged": {"n": 3}, "advice": ["x"]}
    )
    assert facts["statement"] == audit.statement
    assert facts["statement"].startswith("leakage-free at identity >= 0.8 over 50% of the shorter sequence: ")
    assert "with 95 % confidence" in facts["statement"] or "all 20 test sequences" in facts["statement"]
    assert facts["purged"] == {"n": 3}
    assert facts["advice"] == ["x"]
    assert facts["sha256"]["test"] == audit.facts["sha256"]["test"]
    assert rules_from_json(json.loads(json.dumps(facts))["audit"]["rules"]) == AuditRules(budget=0.1)


def test_a_card_of_a_leaking_split_says_so():
    data, split = made()
    grown, pairs = plant_sequence_leaks(data, "exact", 0.01, np.random.default_rng(0))
    sets = np.append(split.set, "test")
    sets[np.isin(grown.ids, pairs[:, 1])] = "train"
    spoilt = Split(ids=grown.ids, group=np.arange(121), set=sets, fold=np.full(121, -1))
    with pytest.raises(SplitError, match="the split is wrong, its sides share 1 sequences"):
        card(grown, spoilt)
    audit = audit_split(grown, "trait", spoilt, AuditRules(judged=()), np.random.default_rng(0))
    facts = card(grown, spoilt, audit)
    assert facts["statement"].startswith("not leakage-free: 1 equal sequences across test and what is trained on")
    assert facts["shared"]["sequences"] == 1


def test_guarantees_and_regimes_are_on_the_card():
    data, split = made()
    groups = replace(make_groups(data), guarantees={"similarity": "all pairs were compared"})
    facts = make_card(data, "trait", split, groups, SplitConfig(regime="unrelated"))
    assert facts["guarantees"] == {"similarity": "all pairs were compared"}
    assert facts["regime"].startswith("regime unrelated; ")
