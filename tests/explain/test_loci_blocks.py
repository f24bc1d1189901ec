"""LD blocks of planted haplotypes, with and without a map."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from automl_pheno.data.dataset import Inputs
from automl_pheno.explain import ExplainError
from automl_pheno.explain.loci.blocks import blocks_rule, ld_blocks, neighbour_r2


def table(chromosomes: list[str], positions: list[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"v{i}" for i in range(len(positions))],
            "chromosome": chromosomes,
            "position": positions,
            "ref": "A",
            "alt": "C",
        }
    )


def planted(n: int = 400, blocks: int = 6, size: int = 5, noise: float = 0.05, seed: int = 0) -> Inputs:
    """Return blocks of copies of one variant each, a few calls changed, unlinked with each other, on one chromosome."""
    rng = np.random.default_rng(seed)
    values = np.repeat(rng.binomial(2, 0.5, (n, blocks)), size, axis=1).astype(np.float32)
    changed = rng.random(values.shape) < noise
    values[changed] = rng.binomial(2, 0.5, int(changed.sum()))
    width = blocks * size
    return Inputs(kind="genotype", values=values, variants=table(["1"] * width, list(range(1, width + 1))))


def test_planted_blocks_are_found_with_and_without_a_map() -> None:
    inputs = planted()
    truth = np.repeat(np.arange(6), 5)
    assert ld_blocks(inputs).tolist() == truth.tolist()
    assert ld_blocks(replace(inputs, variants=None)).tolist() == truth.tolist()
    assert "no map" in blocks_rule(replace(inputs, variants=None))


def test_without_a_map_blocks_may_be_of_variants_that_are_apart_in_the_file() -> None:
    inputs = planted()
    order = np.random.default_rng(1).permutation(30)
    labels = ld_blocks(Inputs(kind="genotype", values=inputs.values[:, order]))
    truth = (np.repeat(np.arange(6), 5))[order]
    assert len(set(zip(labels.tolist(), truth.tolist(), strict=True))) == 6
    assert labels[0] == 0


def test_labels_follow_the_map_not_the_file_and_never_cross_chromosomes() -> None:
    inputs = planted(blocks=2)
    chromosomes = ["10"] * 5 + ["2"] * 5
    both = np.concatenate([inputs.values[:, :5], inputs.values[:, :5]], axis=1)  # the same variants on two chromosomes
    order = np.array([3, 0, 4, 1, 2, 9, 8, 7, 6, 5])
    mapped = replace(inputs, values=both[:, order], variants=table(chromosomes, (order % 5 + 1).tolist()))
    assert ld_blocks(mapped).tolist() == [1] * 5 + [0] * 5


def test_a_rare_variant_inside_a_block_does_not_cut_it() -> None:
    inputs = planted(noise=0.0, blocks=2, size=6)
    values = inputs.values.copy()
    values[:, 2] = np.where(np.arange(len(values)) < 12, np.minimum(values[:, 2], 1), 0)  # a rare allele
    assert ld_blocks(replace(inputs, values=values)).tolist() == [0] * 6 + [1] * 6


def test_variants_that_do_not_vary_belong_to_the_one_before() -> None:
    inputs = planted(blocks=2)
    values = inputs.values.copy()
    values[:, [0, 2, 7]] = 2.0
    assert ld_blocks(replace(inputs, values=values)).tolist() == [0] * 5 + [1] * 5
    assert ld_blocks(replace(inputs, values=np.ones_like(values))).tolist() == [0] * 10


def test_missing_calls_do_not_cut_blocks() -> None:
    inputs = planted()
    values = inputs.values.copy()
    values[np.random.default_rng(3).random(values.shape) < 0.2] = np.nan
    assert ld_blocks(replace(inputs, values=values)).tolist() == np.repeat(np.arange(6), 5).tolist()


def test_no_block_is_larger_than_asked() -> None:
    inputs = planted(blocks=1, size=40, noise=0.0)
    sizes = np.bincount(ld_blocks(inputs, most=15))
    assert sizes.max() <= 15
    assert sizes.sum() == 40


def test_unlinked_variants_stay_alone() -> None:
    values = np.random.default_rng(0).binomial(2, 0.4, (500, 60)).astype(np.float32)
    inputs = Inputs(kind="genotype", values=values, variants=table(["1"] * 60, list(range(60))))
    assert len(set(ld_blocks(inputs).tolist())) == 60
    assert neighbour_r2(inputs) < 0.01


def test_r2_of_neighbours_is_that_of_numpy() -> None:
    inputs = planted(blocks=3, noise=0.2)
    correlation = np.corrcoef(inputs.values.T)
    wanted = np.mean([correlation[i, i + 1] ** 2 for i in range(14)])
    assert neighbour_r2(inputs) == pytest.approx(wanted, abs=1e-5)


def test_sequences_are_refused() -> None:
    with pytest.raises(ExplainError, match="sequences"):
        ld_blocks(Inputs(kind="sequence", values=np.ones((3, 4), dtype=np.uint8)))
