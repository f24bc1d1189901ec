"""The audit fails every split that is spoilt by hand, and passes the unspoilt one."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.data import Dataset, Inputs, read_dataset
from automl_pheno.errors import SplitError
from automl_pheno.simulate.leaks import plant_genotype_leaks, plant_sequence_leaks, simulate_unrelated
from automl_pheno.splits.audit.rules import AuditRules, rules_for
from automl_pheno.splits.audit.run import audit_split
from automl_pheno.splits.config import SplitConfig
from automl_pheno.splits.groups import make_groups
from automl_pheno.splits.pairs import Pairs
from automl_pheno.splits.split import Split

RULES = AuditRules(groups=("family",), budget=0.2)
SEQUENCE_SPOILS = (
    "exact",
    "reverse_complement",
    "mutated_1",
    "mutated_5",
    "mutated_10",
    "reverse_mutated_5",
    "shifted",
)
GENOTYPE_SPOILS = ("duplicate", "full_sib", "half_sib")
OTHER_SPOILS = ("overlap", "column", "group", "id")
KINDS = {
    "exact": "sequences",
    "reverse_complement": "reverse_complements",
    "overlap": "overlap",
    "column": "column family",
    "group": "groups",
    "id": "ids",
    **dict.fromkeys(GENOTYPE_SPOILS, "relatedness"),
}


def sequences(n=240, length=100, seed=0):
    data = simulate_unrelated(n, length, np.random.default_rng(seed))
    columns = pd.DataFrame(
        {"family": [f"f{i}" for i in range(n)], "chromosome": "chr1", "start": np.arange(n) * 200}, index=data.ids
    )
    return replace(data, columns=columns.assign(end=columns["start"] + length))


def genotypes(n=120, m=2400, seed=0, missing=0.01):
    rng = np.random.default_rng(seed)
    values = rng.binomial(2, rng.uniform(0.1, 0.5, m), (n, m)).astype(np.float32)
    values[rng.random((n, m)) < missing] = np.nan
    ids = np.array([f"s{i}" for i in range(n)])
    chromosome = np.repeat(np.arange(1, 25), m // 24).astype(str)
    variants = pd.DataFrame(
        {"id": [f"v{i}" for i in range(m)], "chromosome": chromosome, "position": np.arange(m), "ref": "A", "alt": "G"}
    )
    return Dataset(
        name="x",
        ids=ids,
        inputs=Inputs(kind="genotype", values=values, variants=variants),
        traits=pd.DataFrame({"trait": rng.normal(size=n)}, index=ids),
        columns=pd.DataFrame({"family": [f"f{i}" for i in range(n)]}, index=ids),
    )


def random_split(data, folds, seed):
    rng = np.random.default_rng(seed)
    n = len(data)
    fold = np.full(n, -1)
    sets = rng.permutation(np.resize(["train", "train", "train", "validation", "test"], n))
    if folds:
        sets[sets == "validation"] = "train"
        fold[sets == "train"] = rng.integers(0, folds, int((sets == "train").sum()))
    return Split(ids=data.ids, group=np.arange(n), set=sets.astype(np.str_), fold=fold)


def apart(split, first, second, stage):
    """Put `second` into training, and `first` where it is evaluated by what `second` trains."""
    sets, fold = split.set.astype("<U10"), split.fold.copy()
    sets[second] = "train"
    if split.is_cross_validation:
        fold[second] = 0
        sets[first], fold[first] = ("test", -1) if stage == "test" else ("train", 1)
    else:
        sets[first] = stage
    return replace(split, set=sets, fold=fold)


def spoil(data, split, kind, rate, stage, seed):
    """Return data and split with leaks of one kind."""
    rng = np.random.default_rng(seed)
    if kind in (*SEQUENCE_SPOILS, *GENOTYPE_SPOILS, "overlap"):
        plant = plant_sequence_leaks if data.kind == "sequence" else plant_genotype_leaks
        grown, pairs = plant(data, kind, rate, rng)
        more = len(grown) - len(data)
        families = grown.columns.assign(family=[f"f{i}" for i in range(len(grown))])
        if kind != "overlap" and "start" in families:  # only overlapping intervals may show
            families = families.assign(start=np.arange(len(grown)) * 200, end=np.arange(len(grown)) * 200 + 100)
        grown = replace(grown, columns=families)
        row = {name: place for place, name in enumerate(grown.ids.tolist())}
        split = Split(
            ids=grown.ids,
            group=np.arange(len(grown)),
            set=np.r_[split.set, np.full(more, "train")],
            fold=np.r_[split.fold, np.full(more, 0 if split.is_cross_validation else -1)],
        )
        first, second = (np.array([row[name] for name in side]) for side in pairs.T)
        return grown, apart(split, first, second, stage)
    count = max(1, round(rate * len(data)))
    first, second = rng.permutation(len(data))[: 2 * count].reshape(2, -1)
    split = apart(split, first, second, stage)
    if kind == "column":
        family = data.columns["family"].to_numpy(dtype=object).copy()
        family[first] = family[second]
        return replace(data, columns=data.columns.assign(family=family)), split
    if kind == "group":
        group = split.group.copy()
        group[first] = group[second]
        return data, replace(split, group=group)
    ids = split.ids.copy()
    ids[first] = ids[second]
    return data, replace(split, ids=ids)


def audited(data, split, rules=RULES):
    return audit_split(data, "trait", split, rules, np.random.default_rng(0))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([*SEQUENCE_SPOILS, *GENOTYPE_SPOILS, *OTHER_SPOILS]),
    st.sampled_from([0.01, 0.05, 0.2]), st.sampled_from([0, 3]), st.sampled_from(["test", "validation"]),
    st.integers(0, 1000),
)  # fmt: skip
def test_every_random_spoiling_is_found(kind, rate, folds, stage, seed):
    data = genotypes(seed=seed) if kind in GENOTYPE_SPOILS else sequences(seed=seed)
    rate = max(rate, 0.05) if kind == "half_sib" else rate  # one pair may by chance be related less than 0.0884
    spoilt, split = spoil(data, random_split(data, folds, seed), kind, rate, stage, seed)
    audit = audited(spoilt, split)
    kinds = {leak.kind for leak in audit.leaks}
    assert KINDS.get(kind, "identity") in kinds, audit.statement
    assert audit.statement.startswith("not leakage-free")
    leak = next(leak for leak in audit.leaks if leak.kind == KINDS.get(kind, "identity"))
    assert leak.count >= 1
    assert leak.between[0] != leak.between[1]
    json.dumps(audit.facts, allow_nan=False)


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([sequences, genotypes]), st.sampled_from([0, 3]), st.integers(0, 1000))
def test_no_false_alarm_on_random_samples(make, folds, seed):
    data = make(seed=seed)
    assert audited(data, random_split(data, folds, seed)).leaks == ()


@pytest.mark.parametrize("kind", ["sequence", "genotype"])
@pytest.mark.parametrize("folds", [0, 4])
def test_the_unspoilt_split_passes(kind, folds):
    data = sequences(400) if kind == "sequence" else genotypes()
    audit = audited(data, random_split(data, folds, 1), replace(RULES, budget=2.0))
    assert audit.leaks == ()
    assert audit.statement.startswith("leakage-free at ")
    assert {check["verdict"] for check in audit.facts["checks"]} == {"ok"}
    assert set(audit.samples["side"]) == (
        {"test", "validation"} if folds == 0 else {"test", *map("fold {}".format, range(4))}
    )
    json.dumps(audit.facts, allow_nan=False)


@pytest.mark.parametrize("stage", ["test", "validation"])
@pytest.mark.parametrize("kind", ["mutated_5", "shifted", "reverse_complement"])
def test_all_planted_sequences_are_counted_with_their_source(kind, stage):
    data = sequences(300)
    spoilt, split = spoil(data, random_split(data, 0, 0), kind, 0.1, stage, 3)
    audit = audited(spoilt, split)
    planted = audit.samples.set_index("id").loc[lambda table: table.index.str.startswith("leak_")]
    sources = dict(plant_sequence_leaks(data, kind, 0.1, np.random.default_rng(3))[1])
    assert len(planted) == 30
    assert (planted["nearest_similarity"] >= 0.8).all()
    assert [sources[name] for name in planted.index] == planted["nearest_id"].tolist()
    assert {
        frozenset(pair) for pair in zip(spoilt.ids[audit.pairs.first], spoilt.ids[audit.pairs.second], strict=True)
    } == {frozenset(pair) for pair in sources.items()}


def test_purged_samples_are_no_leak():
    data = sequences()
    spoilt, split = spoil(data, random_split(data, 0, 0), "mutated_5", 0.05, "test", 0)
    near = [name for name in audited(spoilt, split).samples["nearest_id"] if name]
    sets = split.set.astype("<U10")
    sets[np.isin(split.ids, near)] = "purged"
    audit = audited(spoilt, replace(split, set=sets))
    assert audit.leaks == ()
    assert audit.facts["purged"] == len(near)


def test_a_fold_counts_without_what_is_purged_from_it():
    data = sequences()
    spoilt, split = spoil(data, random_split(data, 3, 0), "mutated_5", 0.05, "validation", 0)
    audit = audited(spoilt, split)
    assert {leak.between for leak in audit.leaks} <= {("fold 0", "fold 1"), ("fold 1", "fold 0")}
    near = np.isin(split.ids, audit.samples.loc[audit.samples["side"] == "fold 1", "nearest_id"])
    purged = np.zeros((len(split.ids), 3), dtype=bool)
    purged[near, 1] = True
    half = audited(spoilt, replace(split, purged_from=purged))
    assert [leak.between for leak in half.leaks] == [("fold 0", "fold 1")]  # their sources still meet them
    purged[np.char.startswith(split.ids, "leak_"), 0] = True
    assert audited(spoilt, replace(split, purged_from=purged)).leaks == ()


def test_what_the_split_did_not_promise_is_told_but_no_leak():
    data = sequences()
    spoilt, split = spoil(data, random_split(data, 0, 0), "mutated_5", 0.05, "test", 0)
    audit = audited(spoilt, split, AuditRules(judged=()))
    assert audit.leaks == ()
    assert "was no criterion of this split" in audit.statement  # it was measured, so never "NOT checked"
    assert "NOT leakage-free" in audit.statement
    assert audit.facts["certificate"] is None


def test_overlap_within_slack_and_of_two_genomes():
    data = sequences(120)
    split = apart(random_split(data, 0, 0), np.array([5]), np.array([6]), "test")
    rules = replace(RULES, overlap=100)
    assert [leak.kind for leak in audited(data, split, rules).leaks] == [
        "overlap",
        "overlap",
    ]  # neighbours lie 100 bp apart
    assert audited(data, split, replace(RULES, overlap=99)).leaks == ()
    apart_genomes = replace(data, columns=data.columns.assign(genome=[f"g{i}" for i in range(120)]))
    assert audited(apart_genomes, split, rules).leaks == ()


def test_listed_pairs_count_from_their_threshold_on():
    data = sequences(120)
    split = apart(random_split(data, 0, 0), np.array([3, 4]), np.array([8, 9]), "test")
    pairs = Pairs(
        first=np.array([3, 4]), second=np.array([8, 9]), similarity=np.array([0.3, 0.1]), measure="of x", threshold=0.2
    )
    (leak,) = audited(data, split, replace(RULES, listed=(pairs,))).leaks
    assert (leak.kind, leak.count, leak.examples) == ("listed", 1, ((data.ids[3], data.ids[8]),))


def test_a_library_is_recognised_and_its_extrapolation_checked():
    rng = np.random.default_rng(0)
    wild = 1 << rng.integers(0, 4, 60)
    values = np.tile(wild, (400, 1)).astype(np.uint8)
    for row in values:
        places = rng.choice(60, rng.integers(1, 5), replace=False)
        row[places] = 1 << ((np.log2(row[places]).astype(int) + rng.integers(1, 4, len(places))) % 4)
    values = np.unique(values, axis=0)
    data = simulate_unrelated(len(values), 60, rng)
    data = replace(data, inputs=Inputs(kind="sequence", values=values))
    mutations = (values != wild).sum(axis=1)
    sets = np.where(mutations >= 4, "test", np.where(mutations == 3, "validation", "train"))
    split = Split(ids=data.ids, group=np.arange(len(values)), set=sets, fold=np.full(len(values), -1))
    audit = audited(data, split, AuditRules(extrapolation="mutations"))
    assert audit.leaks == ()
    assert "library of mutants" in audit.statement
    assert "not leakage-free" in audit.statement
    assert audit.facts["library"]["nearest"]["test"]["compared"] == int((mutations >= 4).sum())
    json.dumps(audit.facts, allow_nan=False)
    sets[np.flatnonzero(mutations == 2)[:5]] = "test"
    broken = audited(data, replace(split, set=sets), AuditRules(extrapolation="mutations"))
    assert [(leak.kind, leak.count) for leak in broken.leaks] == [("extrapolation", 5)]
    random = audited(data, random_split(data, 0, 0), AuditRules(judged=()))
    assert random.leaks == ()
    assert "not leakage-free" in random.statement
    claimed = audited(data, random_split(data, 0, 0), AuditRules())
    assert {leak.kind for leak in claimed.leaks} == {"identity"}
    assert claimed.statement.startswith("not leakage-free")
    position = audited(data, random_split(data, 0, 0), AuditRules(extrapolation="position"))
    assert [leak.kind for leak in position.leaks] == ["extrapolation", "extrapolation"]


def test_rules_are_what_the_groups_ended_at():
    data = sequences(120)
    groups = make_groups(data, ("column:family", "overlap:50", "chromosome"))
    pairs = Pairs(
        first=np.array([0]), second=np.array([1]), similarity=np.array([0.95]), measure="identity", threshold=0.9
    )
    rules = rules_for(data, SplitConfig(extrapolation="unseen"), replace(groups, pairs=(pairs,)))
    assert rules.identity == 0.9
    assert rules.groups == ("family", "chromosome")
    assert rules.overlap == 50
    assert rules.judged == ("overlap",)
    assert rules.extrapolation == "unseen"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data, split: (data, split.take(np.arange(5))), "the split has 5 samples, the data have 240"),
        (lambda data, split: (data, replace(split, ids=split.ids[::-1])), "sample 1 of the split is"),
        (lambda data, split: (data, replace(split, set=np.full(240, "train"))), "nothing to audit"),
    ],
)
def test_what_cannot_be_audited_is_refused(change, message):
    data = sequences()
    with pytest.raises(SplitError, match=message):
        audited(*change(data, random_split(data, 0, 0)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"identity": 0.5}, "identity must be from 0.7 to 1, got 0.5"),
        ({"coverage": 2.0}, "coverage must be from 0.1 to 1"),
        ({"estimator": "kin"}, "unknown estimator 'kin'; known: grm, ibs, king"),
        ({"relatedness": 0.0}, "relatedness must be above 0"),
        ({"extrapolation": "mutation"}, "did you mean 'mutations'"),
    ],
)
def test_rules_refuse_what_makes_no_sense(fields, message):
    with pytest.raises(SplitError, match=message):
        AuditRules(**fields)


@pytest.mark.data
def test_no_false_alarm_on_unrelated_samples(data_folder):
    data = read_dataset(data_folder / "fastlmm_toy" / "toydata.5chrom.bed")
    audit = audit_split(data, None, random_split(data, 0, 0), AuditRules(), np.random.default_rng(0))
    assert audit.leaks == ()
    check = next(check for check in audit.facts["checks"] if check["kind"] == "relatedness")
    assert max(check["test"]["worst"], check["validation"]["worst"]) < 0.034
