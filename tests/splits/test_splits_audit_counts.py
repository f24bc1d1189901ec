"""What the audit counts is exact for the sets that it names, in pairs and in rows, and its words agree with it."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.data import Dataset, Inputs, reverse_complement
from automl_pheno.errors import SplitError
from automl_pheno.simulate.leaks import simulate_unrelated
from automl_pheno.splits.audit.rules import AuditRules, rules_with
from automl_pheno.splits.audit.run import audit_split
from automl_pheno.splits.split import Split

N = 60


def data_of(codes, **columns):
    ids = np.array([f"s{number}" for number in range(len(codes))])
    return Dataset(name="x", ids=ids, inputs=Inputs(kind="sequence", values=np.asarray(codes, dtype=np.uint8)),
                   traits=pd.DataFrame(index=ids), columns=pd.DataFrame(columns, index=ids))  # fmt: skip


def split_of(sets, fold=None):
    n = len(sets)
    return Split(ids=np.array([f"s{number}" for number in range(n)]), group=np.arange(n), set=np.array(sets, dtype=str),
                 fold=np.full(n, -1) if fold is None else np.array(fold))  # fmt: skip


def audited(data, split, rules=None):
    return audit_split(data, None, split, AuditRules(budget=0.05) if rules is None else rules, np.random.default_rng(0))


def check_of(audit, kind):
    return next(check for check in audit.facts["checks"] if check["kind"] == kind)


def trained_with(split, row):
    """Return who is trained on when a row is evaluated; None where it is not."""
    if split.set[row] == "test":
        return set(split.development.tolist())
    for fold in split.folds():
        if row in fold.validation:
            return set(fold.train.tolist())
    return None


def by_brute_force(split, alike):
    """Return stage -> (pairs, rows evaluated that are concerned, pairs with each set)."""
    out = {}
    for stage in ("test", "validation"):
        pairs, rows, sets = set(), set(), {}
        for a in range(len(split.ids)):
            trained = trained_with(split, a)
            if trained is None or (split.set[a] == "test") != (stage == "test"):
                continue
            for b in trained:
                if (min(a, b), max(a, b)) in alike:
                    pairs.add((min(a, b), max(a, b)))
                    rows.add(a)
                    name = "folds" if split.fold[b] >= 0 else str(split.set[b])
                    sets.setdefault(name, set()).add((min(a, b), max(a, b)))
        out[stage] = (len(pairs), len(rows), {name: len(found) for name, found in sets.items()})
    return out


SPLITS = st.one_of(
    st.lists(st.sampled_from(["train", "train", "validation", "test", "purged"]), min_size=N, max_size=N).map(split_of),
    st.lists(st.sampled_from([-1, 0, 1, 2]), min_size=N, max_size=N).map(
        lambda fold: split_of(["test" if number < 0 else "train" for number in fold], fold)
    ),
).filter(lambda split: any(len(fold.train) and (len(fold.validation) or len(split.test)) for fold in split.folds()))


@settings(max_examples=25, deadline=None)
@given(split=SPLITS, seed=st.integers(0, 1000))
def test_pairs_and_rows_are_those_of_all_comparisons(split, seed):
    rng = np.random.default_rng(seed)
    place = rng.integers(0, 12, N)  # intervals of the same place share all their 10 bp
    data = data_of(simulate_unrelated(N, 60, rng).inputs.values, seqnames=["chr1"] * N, start=place * 100 + 1,
                   end=place * 100 + 10, width=[10] * N)  # fmt: skip
    alike = {(a, b) for a, b in combinations(range(N), 2) if place[a] == place[b]}
    audit = audited(data, split)
    truth = by_brute_force(split, alike)
    check = check_of(audit, "overlap")
    for stage, (pairs, rows, sets) in truth.items():
        if check[stage] is None:
            assert not pairs
            continue
        assert (check[stage]["count"], check[stage]["rows"]) == (10 * pairs, rows)
        assert {name: one["count"] for name, one in check[stage]["with"].items()} == {
            k: 10 * n for k, n in sets.items()
        }
    leaks = [leak for leak in audit.leaks if leak.kind == "overlap"]
    assert [leak.count for leak in leaks] == [10 * truth[stage][0] for stage in truth if truth[stage][0]]
    for leak in leaks:
        stage = "test" if leak.between[0] == "test" else "validation"
        if leak.between[1] in truth[stage][2]:  # one set alone is named: all that is counted lies with it
            assert leak.count == 10 * truth[stage][2][leak.between[1]]
        assert f"{leak.rows:,} of {leak.of:,} {stage} rows" in leak.sentence


@settings(max_examples=20, deadline=None)
@given(split=SPLITS, seed=st.integers(0, 1000))
def test_relatives_are_counted_as_pairs_and_rows(split, seed):
    rng = np.random.default_rng(seed)
    founders = rng.binomial(2, rng.uniform(0.2, 0.5, 300), (12, 300)).astype(np.float32)
    kind = rng.integers(0, 12, N)
    data = data_of(np.ones((N, 1)))
    data = replace(data, inputs=Inputs(kind="genotype", values=founders[kind]))
    alike = {(a, b) for a, b in combinations(range(N), 2) if kind[a] == kind[b]}
    check = check_of(audited(data, split, AuditRules(estimator="ibs", relatedness=0.99)), "relatedness")
    for stage, (pairs, rows, sets) in by_brute_force(split, alike).items():
        if check[stage] is None:
            assert not pairs
            continue
        assert (check[stage]["count"], check[stage]["rows"]) == (pairs, rows)
        assert {name: one["count"] for name, one in check[stage]["with"].items()} == sets


@settings(max_examples=15, deadline=None)
@given(split=SPLITS, seed=st.integers(0, 1000), copies=st.integers(0, 8))
def test_the_statement_agrees_with_the_numbers(split, seed, copies):
    rng = np.random.default_rng(seed)
    codes = simulate_unrelated(N, 60, rng).inputs.values
    for a, b in rng.integers(0, N, (copies, 2)):
        codes[a] = codes[b]
    for rules in (AuditRules(budget=0.05), AuditRules(budget=0.05, judged=())):
        audit = audited(data_of(codes), split, rules)
        judged = [check for check in audit.facts["checks"] if check["judged"]]
        found = sum(check[stage]["count"] for check in judged for stage in ("test", "validation") if check[stage])
        assert bool(found) == bool(audit.leaks) == audit.statement.startswith("not leakage-free")
        similar = check_of(audit, "identity")
        alike = sum(similar[stage]["count"] for stage in ("test", "validation") if similar[stage])
        assert ("no pair across sides" in audit.statement) == (not alike and not found)
        assert "NOT checked" not in audit.statement
        for check in audit.facts["checks"]:
            count = sum(check[stage]["count"] for stage in ("test", "validation") if check[stage])
            assert check["verdict"] == ("told only" if not check["judged"] else "leak" if count else "ok")
            for stage in ("test", "validation"):
                if check[stage] and check[stage]["count"]:
                    assert 1 <= check[stage]["rows"] <= check[stage]["of"]
        numbers = [int(text.replace(",", "")) for text in re.findall(r": ([\d,]+) of [\d,]+ \w+ rows", audit.statement)]
        assert numbers == [leak.rows for leak in audit.leaks[:3]]


def test_two_sets_that_are_trained_on_are_counted_apart():
    codes = simulate_unrelated(N, 60, np.random.default_rng(1)).inputs.values
    codes[[40, 41, 42]] = codes[[0, 1, 30]]  # test 40-59; two are copies of training rows, one of a validation row
    split = split_of(["train"] * 30 + ["validation"] * 10 + ["test"] * 20)
    (leak,) = [leak for leak in audited(data_of(codes), split).leaks if leak.kind == "sequences"]
    assert (leak.count, leak.parts, leak.between) == (3, {"train": 2, "validation": 1}, ("test", "train + validation"))
    assert (leak.rows, leak.of) == (3, 20)
    assert "(2 with train, 1 with validation): 3 of 20 test rows" in leak.sentence
    codes[42] = simulate_unrelated(1, 60, np.random.default_rng(2)).inputs.values[0]
    (leak,) = [leak for leak in audited(data_of(codes), split).leaks if leak.kind == "sequences"]
    assert (leak.count, leak.between) == (2, ("test", "train"))


def frames(shape, rng):
    """Return 400 sequences of which 340 to 349 hide the reverse complements of 0 to 9, 360 to 362 of 280 to 282."""
    core = simulate_unrelated(400, 40, rng).inputs.values.copy()
    core[340:350], core[360:363] = reverse_complement(core[:10]), reverse_complement(core[280:283])
    frame = simulate_unrelated(1, 150, rng).inputs.values[0]
    if shape == "a short insert in a long frame":
        inserts = core[:, :14].copy()
        inserts[340:350], inserts[360:363] = reverse_complement(inserts[:10]), reverse_complement(inserts[280:283])
        return [np.concatenate([frame[:100], row, frame[100:]]) for row in inserts]
    if shape == "a constant middle":
        return [np.concatenate([frame[:15], row[:20], frame[15:75], row[20:], frame[75:90]]) for row in core]
    at = np.full(400, 40)
    if shape == "another offset":
        at[340:350] = 60
    rows = [np.concatenate([frame[:place], row, frame[place:120]]) for row, place in zip(core, at, strict=True)]
    if shape == "a frame turned round":
        turned = rng.random(400) < 0.5
        return [reverse_complement(row[None])[0] if turn else row for row, turn in zip(rows, turned, strict=True)]
    return rows


@pytest.mark.parametrize(
    "shape",
    ["flanks", "a short insert in a long frame", "a constant middle", "another offset", "a frame turned round"],
)
def test_a_constant_frame_hides_no_reverse_complement(shape):
    rng = np.random.default_rng(3)
    data = data_of(frames(shape, rng))
    split = split_of(["train"] * 280 + ["validation"] * 60 + ["test"] * 60)
    audit = audited(data, split)
    framed = [check for check in audit.facts["checks"] if check["what"].endswith("within the constant frame")]
    rows = set()
    for check in framed:
        assert check["judged"]
        rows.add(check["test"]["rows"])
    # turned round, a reverse complement may lie there as it is
    assert sum(check["test"]["rows"] for check in framed) == 13, audit.statement
    similar = check_of(audit, "identity")
    if shape != "a short insert in a long frame":  # where 14 bp are alike by chance, too
        assert (similar["test"]["count"], similar["test"]["rows"]) == (13, 13)
        assert {name: one["count"] for name, one in similar["test"]["with"].items()} == {"train": 10, "validation": 3}
        assert similar["validation"]["count"] == 0


def test_inserts_that_chance_makes_alike_are_told_and_not_judged():
    rng = np.random.default_rng(4)
    frame = simulate_unrelated(1, 120, rng).inputs.values[0]
    inserts = simulate_unrelated(600, 7, rng).inputs.values
    data = data_of([np.concatenate([frame[:60], row, frame[60:]]) for row in inserts])
    split = split_of(["train"] * 400 + ["test"] * 200)
    told = [
        check for check in audited(data, split, AuditRules(judged=())).facts["checks"] if "by chance" in check["what"]
    ]
    assert all(check["verdict"] == "told only" for check in told)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("overlap", r"'overlap' needs the columns chromosome, start and end; the data lack chromosome.*columns: batch"),
        ("chromosome", "needs a column called chromosome, chrom, chr, seqnames"),
        ("family", "needs a column called family"),
        ("relatedness", "relatedness is of genotypes"),
        ("clusters", "cannot be audited"),
        ("random", "cannot be audited"),
        ("column:nothing", "no column 'nothing'"),
        ("column:empty", "no sample has a value in column 'empty'"),
        ("chromosome:2", "takes no argument"),
    ],
)
def test_what_is_asked_and_cannot_be_audited_is_an_error(asked, message):
    data = data_of(simulate_unrelated(N, 60, np.random.default_rng(5)).inputs.values, batch=["a"] * N, empty=[None] * N)
    with pytest.raises(SplitError, match=message):
        rules_with(AuditRules(), data, [asked])


def test_samples_without_a_value_are_said():
    batch = ["a"] * 10 + [None] * (N - 10)
    data = data_of(simulate_unrelated(N, 60, np.random.default_rng(5)).inputs.values, batch=batch)
    rules = rules_with(AuditRules(budget=0.05), data, ["column:batch"])
    audit = audited(data, split_of(["train"] * 40 + ["test"] * 20), rules)
    assert check_of(audit, "column batch")["what"] == "values of batch (50 of 60 samples have none)"


def test_a_certificate_of_unequal_folds_says_with_how_many_each_was_compared():
    data = data_of(simulate_unrelated(N, 60, np.random.default_rng(6)).inputs.values)
    split = split_of(["train"] * N, [0] * (N - 2) + [1, 2])
    audit = audited(data, split, AuditRules(budget=5.0))
    assert "all 2 to 59 trained on with it" in audit.statement


def test_the_share_of_pairs_across_sides_is_that_of_a_count():
    rng = np.random.default_rng(7)
    split = split_of(rng.permutation(["train"] * 30 + ["validation"] * 15 + ["test"] * 15))
    audit = audited(data_of(simulate_unrelated(N, 60, rng).inputs.values), split)
    crossing = seen = 0
    for a, b in combinations(range(N), 2):
        one, other = trained_with(split, a), trained_with(split, b)
        seen += one is not None or other is not None
        crossing += (one is not None and b in one) or (other is not None and a in other)
    assert audit.facts["similarity"]["leak_ratio_by_chance"] == pytest.approx(crossing / seen, rel=1e-5)


def test_intervals_that_cannot_be_compared_are_said():
    start = np.arange(N) * 100
    data = data_of(simulate_unrelated(N, 60, np.random.default_rng(8)).inputs.values, chrom=["1"] * N, start=start,
                   end=np.where(start == 700, 700, start + 60))  # fmt: skip
    split = split_of(["train"] * 40 + ["test"] * 20)
    statement = audited(data, split).statement
    assert statement.endswith("; overlap was NOT checked: the interval 700-700 of 's7' ends where it starts or before")
    with pytest.raises(SplitError, match="the interval 700-700 of 's7' ends where it starts"):
        rules_with(AuditRules(), data, ["overlap"])
