"""The part ``loci``: tables that agree with the attribution, sentences that agree with the tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.errors import TrainingError
from automl_pheno.explain import explain
from automl_pheno.explain.loci.blocks import ld_blocks
from automl_pheno.explain.parts.loci import find_loci
from automl_pheno.explain.parts.protocol import NotApplicableError, PartRequest
from automl_pheno.explain.scoring import score_function
from automl_pheno.predictors.elastic_net import ElasticNet
from automl_pheno.predictors.gblup import GBLUP
from automl_pheno.predictors.protocol import Predictor
from automl_pheno.simulate import simulate_genotypes


def request(
    predictor: Predictor, train: Examples, fresh: Callable[[], Predictor] | None = None, refits: int = 3
) -> PartRequest:
    predictor.fit(train, rng=np.random.default_rng(0))
    rows = train.inputs.take(np.arange(min(len(train), 80)))
    return PartRequest(
        predictor=predictor,
        score=score_function(predictor),
        attribution=explain(predictor, rows, train.inputs, rng=np.random.default_rng(0)),
        training=train,
        ids=np.arange(len(train)).astype(str),
        columns=pd.DataFrame(index=np.arange(len(train)).astype(str)),
        rng=np.random.default_rng(0),
        fresh=fresh,
        refits=refits,
    )


def genotypes(seed: int = 1, n: int = 1500, n_variants: int = 300) -> Examples:
    dataset, _ = simulate_genotypes(
        n=n, n_variants=n_variants, block=10, n_causal=8, n_pairs=2, n_chromosomes=12, heritability=0.8, seed=seed
    )
    family = np.unique(dataset.columns["family"], return_inverse=True)[1].astype(np.int64)
    return Examples(inputs=dataset.inputs, y=dataset.y("trait"), groups=family)


def shuffled(train: Examples, seed: int = 0) -> tuple[Examples, np.ndarray]:
    """Return the same examples with the variants in another order, and the order."""
    order = np.random.default_rng(seed).permutation(train.inputs.width)
    table = train.inputs.variants
    assert table is not None
    inputs = replace(
        train.inputs, values=train.inputs.values[:, order], variants=table.iloc[order].reset_index(drop=True)
    )
    return replace(train, inputs=inputs), order


def test_tables_agree_with_the_attribution_whatever_the_order_of_the_file() -> None:
    train, _ = shuffled(genotypes())
    asked = request(GBLUP(), train, GBLUP)
    part = find_loci(asked)
    loci, blocks = part.tables["loci"], part.tables["blocks"]
    values = asked.attribution.contributions
    names = asked.attribution.feature_names()
    labels = ld_blocks(train.inputs)
    assert loci["chromosome"].tolist() == sorted(loci["chromosome"], key=int)
    for row in loci.iloc[[0, 77, 299]].itertuples():
        column = names.index(row.id)
        assert row.mean_abs == pytest.approx(np.abs(values[:, column]).mean())
        assert row.mean_signed == pytest.approx(values[:, column].mean())
        assert row.block == labels[column] + 1
        dosage = train.inputs.values[:, column]
        assert row.maf == pytest.approx(min(dosage.mean() / 2, 1 - dosage.mean() / 2), abs=1e-6)
    for row in blocks.iloc[[0, 5, len(blocks) - 1]].itertuples():
        inside = np.flatnonzero(labels == row.block - 1)
        total = values[:, inside].sum(axis=1)
        assert row.n_variants == len(inside)
        assert row.mean_abs == pytest.approx(np.abs(total).mean())
        assert row.mean_signed == pytest.approx(total.mean())
        assert names.index(row.lead) == inside[np.argmax(np.abs(values[:, inside]).mean(axis=0))]
        of_block = loci[loci["block"] == row.block]
        assert row.start == of_block["position"].min()
        assert row.end == of_block["position"].max()
        assert row.association_p == pytest.approx(of_block["association_p"].min())
        assert row.association_lead == of_block.loc[of_block["association_p"].idxmin(), "id"]
    assert (loci["block"].diff().dropna() >= 0).all()  # blocks are numbered along the genome
    json.dumps(dict(part.facts), allow_nan=False)


def test_the_sentence_counts_what_passes() -> None:
    part = find_loci(request(ElasticNet(), genotypes(), ElasticNet))
    blocks, facts = part.tables["blocks"], part.facts
    assert 4 <= facts["used"] == int(blocks["used"].sum())
    assert part.facts["sentence"].startswith(f"{facts['used']} of {len(blocks)} LD blocks are loci used by the model")
    assert (blocks.loc[blocks["used"], "decoy_q"] <= facts["fdr"]).all()
    assert len(part.tables["decoys"]) == len(blocks)
    assert facts["refits"] == 3
    assert facts["decoy_precision"] >= 0.85  # one decoy among ten
    assert facts["rank_agreement_with_association"] > 0.3
    for words in (facts["sentence"], facts["disclaimer"]):
        assert "causal" not in words.replace("not shown to be causal", "")


def test_a_weak_model_says_that_nothing_passes() -> None:
    train = genotypes(n=200)
    blank = replace(train, y=np.random.default_rng(1).normal(size=len(train)))
    part = find_loci(request(GBLUP(), blank, GBLUP))
    assert part.facts["used"] == 0
    assert part.facts["threshold"] is None
    assert part.notes[0].startswith("No locus passes the threshold")


def failing() -> Predictor:
    message = "the loss was not finite"
    raise TrainingError(message)


@pytest.mark.parametrize(
    ("fresh", "refits", "reason"),
    [(None, 3, "not known"), (GBLUP, 0, "no refits"), (failing, 3, "the loss was not finite")],
)
def test_without_refits_there_is_no_threshold_and_it_says_why(
    fresh: Callable[[], Predictor] | None, refits: int, reason: str
) -> None:
    part = find_loci(request(GBLUP(), genotypes(n=200), fresh, refits))
    assert reason in part.facts["no_threshold"]
    assert reason in part.notes[0]
    assert "decoys" not in part.tables
    assert part.tables["blocks"]["used"].isna().all()
    assert part.tables["blocks"]["decoy_q"].isna().all()


def test_without_a_map_blocks_have_no_place() -> None:
    train = genotypes(n=300, n_variants=60)
    train = replace(train, inputs=Inputs(kind="genotype", values=train.inputs.values))
    part = find_loci(request(GBLUP(), train, GBLUP, refits=1))
    assert "no map" in part.facts["blocks_rule"]
    assert (part.tables["blocks"]["start"] == -1).all()
    assert (part.tables["blocks"]["chromosome"] == "").all()
    assert part.tables["loci"]["id"].tolist() == [str(i + 1) for i in range(60)]


def test_sequences_have_no_loci() -> None:
    codes = (1 << np.random.default_rng(0).integers(0, 4, (60, 12))).astype(np.uint8)
    y = (codes[:, 3] == 1).astype(float)
    train = Examples(inputs=Inputs(kind="sequence", values=codes), y=y, groups=np.arange(60))
    with pytest.raises(NotApplicableError, match="sequences"):
        find_loci(request(GBLUP(), train))
