"""What is asked for, learnt, applied and kept on disk."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from automl_pheno.curation import Curation, CurationConfig, curation_config, learn
from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.errors import CurationError

ALL = {
    "min_call_rate": 0.5,
    "min_maf": 0.05,
    "drop_monomorphic": True,
    "drop_duplicate_variants": True,
    "ld_prune": 0.9,
    "ld_window": 10,
    "impute": "knn",
    "neighbours": 3,
    "trait": "rank_normal",
    "weights": "label_density",
    "largest_weight": 4.0,
}


def genotypes(n=120, p=40, seed=0):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, rng.uniform(0.0, 0.5, p), size=(n, p)).astype(np.float32)
    dosage[:, 7] = dosage[:, 6]
    dosage[:, 9] = 0.0
    dosage[rng.random((n, p)) < 0.05] = np.nan
    variants = pd.DataFrame(
        {"id": [f"v{i}" for i in range(p)], "chromosome": "1", "position": range(p), "ref": "A", "alt": "C"}
    )
    inputs = Inputs(kind="genotype", values=dosage, variants=variants)
    return Examples(inputs=inputs, y=rng.exponential(size=n), groups=np.arange(n) // 3)


def rng():
    return np.random.default_rng(1)


def test_the_default_changes_nothing():
    config = CurationConfig()
    assert not config.changes_something
    train = genotypes()
    curation = learn(config, train, rng())
    assert curation.examples(train).inputs is train.inputs
    assert curation.examples(train).weights is None
    assert curation.untrait(train.y) is train.y
    assert curation.counts() == {}


def test_everything_at_once_round_trips(tmp_path):
    train, new = genotypes(), genotypes(seed=5)
    config = CurationConfig(**ALL)
    assert curation_config(config.model_dump(mode="json")) == config
    curation = learn(config, train, rng())
    examples = curation.examples(train)
    counts = curation.counts()
    assert counts["variants_kept"] == examples.inputs.width == len(examples.inputs.variants)
    assert counts["variants_kept"] + sum(v for k, v in counts.items() if k.startswith("dropped_by_")) == 40
    assert counts["dropped_by_min_maf"] >= 1
    assert examples.inputs.variants["id"].tolist() == [f"v{i}" for i in curation.kept]
    assert not np.isnan(examples.inputs.values).any()
    assert examples.weights.mean() == pytest.approx(1.0)
    np.testing.assert_allclose(curation.untrait(examples.y), train.y)
    curation.save(tmp_path)
    loaded = Curation.load(tmp_path)
    np.testing.assert_array_equal(loaded.inputs(new.inputs).values, curation.inputs(new.inputs).values)
    np.testing.assert_array_equal(loaded.trait(new.y), curation.trait(new.y))
    np.testing.assert_array_equal(loaded.examples(train).weights, examples.weights)
    assert loaded.counts() == counts
    assert loaded.config == config
    full = loaded.spread(np.ones((2, len(curation.kept))))
    assert full.shape == (2, 40)
    assert (full[:, curation.kept] == 1).all()
    assert full.sum() == 2 * len(curation.kept)


@pytest.mark.parametrize("how", ["over", "under", "both"])
def test_repeats_keep_their_group_and_held_out_rows_stay_single(how, tmp_path):
    train = genotypes()
    curation = learn(CurationConfig(resample=how), train, rng())
    examples = curation.examples(train)
    np.testing.assert_array_equal(examples.groups, train.groups[curation.rows])
    np.testing.assert_array_equal(examples.y, train.y[curation.rows])
    assert len(curation.held_out(train)) == len(train)
    curation.save(tmp_path)
    np.testing.assert_array_equal(Curation.load(tmp_path).rows, curation.rows)


def test_given_weights_are_kept():
    train = genotypes()
    given = np.random.default_rng(0).uniform(0.5, 1.5, len(train))
    weighted = Examples(inputs=train.inputs, y=train.y, groups=train.groups, weights=given / given.mean())
    plain = learn(CurationConfig(trait="rank_normal"), weighted, rng()).examples(weighted)
    np.testing.assert_array_equal(plain.weights, weighted.weights)
    both = learn(CurationConfig(weights="label_density"), weighted, rng()).examples(weighted)
    alone = learn(CurationConfig(weights="label_density"), train, rng()).examples(train)
    np.testing.assert_allclose(
        both.weights, weighted.weights * alone.weights / np.mean(given / given.mean() * alone.weights)
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"min_maf": 0.7}, "curation.min_maf: must be <= 0.5, got 0.7"),
        ({"min_maf": -0.1}, "curation.min_maf: must be >= 0, got -0.1"),
        ({"min_call_rate": 95}, "curation.min_call_rate: must be <= 1, got 95"),
        ({"ld_prune": 1.0}, "curation.ld_prune: must be < 1, got 1"),
        ({"ld_prune": 0.5, "ld_window": 0}, "curation.ld_window: must be >= 1, got 0"),
        ({"impute": "median"}, "curation.impute: must be 'none', 'mean', 'mode' or 'knn', got 'median'"),
        ({"impute": "knn", "neighbours": 2.5}, "curation.neighbours: must be a whole number, got 2.5"),
        ({"trait": "log"}, "curation.trait: must be 'none' or 'rank_normal', got 'log'"),
        ({"min_mafs": 0.1}, "curation: unknown key 'min_mafs'; known: .* did you mean 'min_maf'?"),
        ({"ld_window": 50}, "curation: ld_window goes with ld_prune, which is off"),
        ({"neighbours": 3, "impute": "mean"}, "curation: neighbours goes with impute: knn, which is off"),
        ({"largest_weight": 9.0}, "curation: largest_weight goes with weights, which is off"),
        ({"largest_copies": 9.0}, "curation: largest_copies goes with resample, which is off"),
        ({"weights": "label_density", "resample": "over"}, "curation: weights label_density and resample over correct"),
        ({"min_maf": float("nan")}, "curation.min_maf: must be finite, got nan"),
    ],
)
def test_bad_configurations_are_refused_in_one_line(fields, line):
    with pytest.raises(CurationError) as caught:
        curation_config(fields)
    text = str(caught.value)
    assert "\n" not in text
    start, _, end = line.partition(" .* ")
    assert text.startswith(start)
    assert end in text


def test_rules_of_variants_do_not_suit_sequences():
    sequences = Inputs(kind="sequence", values=np.ones((9, 5), dtype=np.uint8))
    train = Examples(inputs=sequences, y=np.arange(9.0), groups=np.arange(9))
    with pytest.raises(CurationError, match=r"curation\.ld_prune: is about variants of genotypes"):
        learn(CurationConfig(ld_prune=0.5), train, rng())


def test_dropping_everything_says_which_rules_did():
    train = genotypes()
    with pytest.raises(CurationError, match=r"drops all 40 variants .*\(min_call_rate \d+.*\)"):
        learn(CurationConfig(min_call_rate=1.0, min_maf=0.5), train, rng())


def test_other_inputs_and_folders_are_refused(tmp_path):
    train = genotypes()
    curation = learn(CurationConfig(min_maf=0.05), train, rng())
    with pytest.raises(CurationError, match="genotype inputs of 40 variants, got genotype inputs of width 39"):
        curation.inputs(genotypes(p=39).inputs)
    with pytest.raises(CurationError, match="learnt from 120 training samples, got 100"):
        curation.examples(train.take(np.arange(100)))
    with pytest.raises(CurationError, match="no readable curation"):
        Curation.load(tmp_path)


def test_the_howto_shows_a_curation_that_holds_and_the_true_defaults(repository):
    page = (repository / "docs" / "howto" / "curation.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    config = curation_config(yaml.safe_load(example)["curation"])
    assert config.changes_something
    table = page.split("## When to use what")[1].split("\n\n")[1]
    assert all(f"`{name}" in table or f"`{name}:" in table for name in CurationConfig.model_fields)
