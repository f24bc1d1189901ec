"""Known motifs: found where they are, not found where there are none, and only what shuffles do not find is taken."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.explain.attribution import Attribution, at_bases
from automl_pheno.explain.motifs import jaspar
from automl_pheno.explain.motifs.jaspar import (
    BEST,
    LONGEST,
    SHUFFLES,
    Target,
    check_packages,
    jaspar_targets,
    match,
    shuffles,
)
from automl_pheno.explain.motifs.pwm import enough_information, frequencies_of, information, likeness
from automl_pheno.explain.parts.matches import matches
from automl_pheno.explain.parts.protocol import NotApplicableError, Part, PartRequest
from automl_pheno.predictors.mean import Mean


def pwm(motif: str, sites: float = 50.0) -> np.ndarray:
    return frequencies_of(np.eye(5)[["ACGTN".index(base) for base in motif]][:, :4] * sites)


def target(name: str, motif: str) -> Target:
    return Target(matrix_id=name, name=name, collection="X", group="plants", species="", frequencies=pwm(motif))


def closest(
    queries: Sequence[np.ndarray], targets: Sequence[np.ndarray], best: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Compare by cosine; p is 1 - cosine."""
    far = np.array([[1.0 - likeness(q - 0.25, t - 0.25) for t in targets] for q in queries])
    order = np.argsort(far, axis=1, kind="stable")[:, :best]
    p = np.take_along_axis(far, order, axis=1)
    return p, np.full(p.shape, 6), np.zeros(p.shape), order


def test_a_match_is_judged_by_what_shuffles_find() -> None:
    targets = [target("t1", "CCACGTGTCA"), target("t2", "TTGACCTA")]
    queries = {"like": pwm("CCACGTGTCA"), "unlike": pwm("AGGCTTCAGC"), "empty": pwm("NNNNANNNNN")}
    table = match(queries, targets, rng=np.random.default_rng(0), compare=closest)
    assert set(table["query"]) == {"like", "unlike"}
    assert (table.groupby("query").size() == 2).all()
    best = table.drop_duplicates("query").set_index("query")
    assert best.loc["like", "target_id"] == "t1"
    assert best.loc["like", "null_p"] == pytest.approx(1.0 / (1 + SHUFFLES))
    assert best.loc["like", "q"] == pytest.approx(2.0 / (1 + SHUFFLES))
    assert best.loc["like", "accepted"]
    # by hand: its shuffles, from the same generator
    rng = np.random.default_rng(0)
    shuffles(pwm("CCACGTGTCA"), SHUFFLES, rng)
    null = closest(shuffles(pwm("AGGCTTCAGC"), SHUFFLES, rng), [t.frequencies for t in targets], 1)[0][:, 0]
    row = best.loc["unlike"]
    assert row["null_p"] == pytest.approx((1 + (null <= row["p"]).sum()) / (1 + SHUFFLES))
    assert not row["accepted"]


def test_queries_without_targets_or_information_have_no_rows() -> None:
    for table in (
        match({}, [target("t", "ACGTAC")], rng=np.random.default_rng(0), compare=closest),
        match({"a": pwm("NNNN")}, [target("t", "ACGTAC")], rng=np.random.default_rng(0), compare=closest),
    ):
        assert table.empty
        assert table["accepted"].dtype == bool


def test_shuffles_keep_the_columns_and_are_not_the_motif() -> None:
    motif = pwm("TATAAAT")
    copies = shuffles(motif, 50, np.random.default_rng(0))
    assert len(copies) == 50
    for copy in copies:
        assert sorted(map(tuple, copy)) == sorted(map(tuple, motif))
        assert likeness(copy - 0.25, motif - 0.25) < 0.9
    assert shuffles(pwm("AAAAAA"), 5, np.random.default_rng(0)) == []  # there is no other order


def test_what_says_too_little_is_not_compared() -> None:
    assert enough_information(pwm("ACGT"))
    assert enough_information(frequencies_of(np.tile([2.0, 1.0, 0, 0], (8, 1)) * 20))
    assert not enough_information(pwm("ACNNNG", sites=20))


def request(done: dict[str, Part]) -> PartRequest:
    inputs = Inputs(kind="sequence", values=np.ones((2, 12), dtype=np.uint8))
    ids = np.array(["a", "b"])
    attribution = Attribution(
        inputs=inputs, ids=ids, rows=np.arange(2), values=at_bases(np.zeros((2, 12)), inputs), base_value=np.zeros(2),
        predictions=np.zeros(2), completeness=np.zeros(2), method="none",
    )  # fmt: skip
    return PartRequest(
        predictor=Mean(), score=lambda rows: np.zeros(len(rows)), attribution=attribution,
        training=Examples(inputs=inputs, y=np.zeros(2), groups=np.arange(2)), ids=ids,
        columns=pd.DataFrame(index=ids), rng=np.random.default_rng(0), done=done,
    )  # fmt: skip


def test_nothing_to_compare_and_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotApplicableError, match="no motifs and no filters"):
        matches(request({"motifs": Part()}))
    monkeypatch.setattr(jaspar, "find_spec", lambda name: None)
    with pytest.raises(NotApplicableError, match=r"memelite and pyjaspar: pip install 'automl-pheno\[motifs\]'"):
        matches(request({"motifs": Part(arrays={"motifs": {"frequencies_1": pwm("TATAAA")}})}))
    with pytest.raises(NotApplicableError, match="pip install"):
        check_packages()


def test_jaspar_is_read_as_its_own_reader_reads_it() -> None:
    pyjaspar = pytest.importorskip("pyjaspar")
    pytest.importorskip("memelite")
    targets, releases = jaspar_targets()
    assert len(targets) > 2000
    assert [said.split(":")[0] for said in releases][1] == "POLII of JASPAR2020"
    assert max(len(one.frequencies) for one in targets) <= LONGEST
    assert len({one.matrix_id for one in targets}) == len(targets)
    assert any(one.matrix_id == "POL012.1" and one.name == "TATA-Box" for one in targets)
    database = pyjaspar.jaspardb()
    for one in [one for one in targets if one.collection == "CORE"][::500]:
        theirs = database.fetch_motif_by_id(one.matrix_id.split(".")[0])  # the newest version
        assert (theirs.matrix_id, theirs.name, theirs.tax_group) == (one.matrix_id, one.name, one.group)
        counts = np.array([theirs.counts[base] for base in "ACGT"]).T
        np.testing.assert_allclose(one.frequencies, counts / counts.sum(axis=1, keepdims=True), atol=0.01)
    database.conn.close()


@pytest.mark.slow  # memelite compiles for a minute when it runs for the first time on a machine
@pytest.mark.timeout(900)
def test_known_motifs_are_matched_and_random_ones_are_not() -> None:
    pytest.importorskip("memelite")
    pytest.importorskip("pyjaspar")
    rng = np.random.default_rng(0)
    targets, _ = jaspar_targets()
    informative = [
        one for one in targets if 8 <= len(one.frequencies) <= 12 and information(one.frequencies).sum() > 13
    ]
    chosen = [informative[i] for i in rng.choice(len(informative), 4, replace=False)]
    noisy = {one.matrix_id: frequencies_of([rng.multinomial(60, row) for row in one.frequencies]) for one in chosen}
    random = {str(i): rng.dirichlet(np.full(4, 0.25), 9) for i in range(4)}
    arrays = {f"frequencies_{i}": matrix for i, matrix in enumerate([*noisy.values(), *random.values()], start=1)}
    part = matches(request({"motifs": Part(arrays={"motifs": arrays})}))
    table = part.tables["matches"]
    assert (table.groupby("query").size() == BEST).all()
    assert set(table["kind"]) == {"motif"}
    for number, one in enumerate(chosen, start=1):
        own = table[table["query"] == str(number)]
        assert one.matrix_id in own["target_id"].tolist()
        assert own["accepted"].iloc[0]
        assert own["p"].is_monotonic_increasing
    assert not table.loc[table["query"].astype(int) > 4, "accepted"].any()
    assert (table.loc[table["query"].astype(int) > 4, "p"] < 0.01).any()  # where p alone would see something
    assert part.facts["accepted"] == 4
    assert len(part.notes) == 4
