"""The parts `mutagenesis` and `surrogate`: what they write, and when they have nothing to say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import automl_pheno.explain.parts.mutagenesis
import automl_pheno.explain.parts.surrogate  # noqa: F401  registers it
from automl_pheno.data.dataset import Examples, Inputs
from automl_pheno.data.encode import decode, one_hot
from automl_pheno.explain.attribution import Attribution, at_bases
from automl_pheno.explain.mutagenesis.dosages import dominance_sentence, dosage_classes
from automl_pheno.explain.parts.protocol import PARTS, NotApplicableError, Part, PartRequest
from automl_pheno.explain.scoring import score_function

MOTIF = "GATAAGA"
WORD = np.array([4, 1, 8, 1, 1, 4, 1], dtype=np.uint8)
LENGTH = 50


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


class Counts:
    """Return 2 for each base that matches MOTIF beyond four, at the best place, and 0.1 for each G."""

    kind = "made for the test"

    def predict(self, inputs: Inputs) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(inputs.values, len(WORD), axis=1)
        best = (windows == WORD).sum(axis=2).max(axis=1)
        return 2.0 * np.maximum(best - 4, 0) + 0.1 * (inputs.values == 4).sum(axis=1)


class Dosages:
    """Return dosages times 0, 1, 2 ..., and 1 more where the first variant is heterozygous."""

    kind = "made for the test"

    def predict(self, inputs: Inputs) -> np.ndarray:
        dosage = np.nan_to_num(inputs.values, nan=1.0)
        return dosage @ np.arange(dosage.shape[1]) + (dosage[:, 0] == 1)


def sequences(n: int = 150) -> Inputs:
    values = (1 << rng(1).integers(0, 4, (n, LENGTH))).astype(np.uint8)
    for row in range(0, n, 2):
        values[row, 10 + row % 20 : 17 + row % 20] = WORD
    return Inputs(kind="sequence", values=values)


def request(predictor: object, inputs: Inputs, done: dict[str, Part] | None = None) -> PartRequest:
    n = len(inputs)
    ids = np.array([f"s{row}" for row in range(n)])
    predictions = predictor.predict(inputs)
    contributions = rng(2).normal(size=inputs.values.shape)
    attribution = Attribution(
        inputs=inputs,
        ids=ids,
        rows=np.arange(n),
        values=at_bases(contributions, inputs) if inputs.kind == "sequence" else contributions,
        base_value=np.zeros(n),
        predictions=predictions,
        completeness=np.zeros(n),
        method="none",
    )
    return PartRequest(
        predictor=predictor,
        score=score_function(predictor),
        attribution=attribution,
        training=Examples(inputs=inputs, y=predictions, groups=np.arange(n)),
        ids=ids,
        columns=pd.DataFrame(index=ids),
        rng=rng(3),
        done=done or {},
    )


def found_motifs() -> dict[str, Part]:
    rows = np.arange(0, 150, 2)
    places = pd.DataFrame({
        "motif": 1, "id": [f"s{row}" for row in rows], "start": 11 + rows % 20, "end": 17 + rows % 20,
        "strand": "+", "contribution": 1.0,
    })  # fmt: skip
    table = pd.DataFrame({"motif": [1, 2], "consensus": [MOTIF, "CCCCC"]})
    arrays = {"frequencies_1": one_hot(WORD[None])[0], "frequencies_2": np.tile([0.0, 1.0, 0.0, 0.0], (5, 1))}
    return {"motifs": Part(tables={"motifs": table, "motif_places": places}, arrays={"motifs": arrays})}


def test_sequences_have_their_changes_and_their_motifs_effects() -> None:
    asked = request(Counts(), sequences(), found_motifs())
    part = PARTS["mutagenesis"](asked)
    stored = part.arrays["mutagenesis"]
    assert stored["scores"].shape == (100, 4, LENGTH)
    assert stored["deletions"].shape == (100, LENGTH)
    assert len(np.unique(stored["ids"])) == 100
    assert asked.attribution.ids[asked.attribution.predictions.argmax()] in stored["ids"]
    row = int(stored["ids"][0][1:])
    changed = asked.attribution.inputs.values[row : row + 1].copy()
    changed[0, 7] = 4
    truth = Counts().predict(Inputs(kind="sequence", values=changed)) - asked.attribution.predictions[row]
    np.testing.assert_allclose(stored["scores"][0, 2, 7], truth[0], atol=1e-5)
    assert list(part.tables["mutations"].columns) == ["position", "mean_abs", "mean_signed", "max_abs", "strongest"]
    effects = part.tables["motif_effects"]
    assert list(effects.columns) == ["motif", "consensus", "action", "effect", "sd", "n", "low", "high"]
    assert effects["motif"].tolist() == [1, 1, 1, 2, 2], "the second was found nowhere, so it is not taken out"
    by_action = effects[effects["motif"] == 1].set_index("action")["effect"]
    assert 4.5 < by_action["insert"] < 6.5
    assert abs(by_action["insert_reverse"]) < 1.0
    assert -6.5 < by_action["ablate"] < -4.0
    curve = part.tables["spacing"]
    assert list(curve.columns) == ["motif_a", "motif_b", "order", "distance", "effect", "sd", "additive", "n"]
    np.testing.assert_allclose(curve["effect"], curve["additive"], atol=0.5)
    assert part.facts["backgrounds"] == 100


def test_without_motifs_only_bases_are_changed() -> None:
    part = PARTS["mutagenesis"](request(Counts(), sequences(30)))
    assert set(part.tables) == {"mutations"}
    assert part.arrays["mutagenesis"]["scores"].shape == (30, 4, LENGTH)


def test_motifs_are_not_put_into_variants_of_one_sequence() -> None:
    inputs = sequences(60)
    inputs.values[:] = inputs.values[:1]
    inputs.values[:, 5] = (1 << rng().integers(0, 4, 60)).astype(np.uint8)
    part = PARTS["mutagenesis"](request(Counts(), inputs, found_motifs()))
    assert set(part.tables) == {"mutations"}
    assert any("variants of one sequence" in note for note in part.notes)


def test_long_sequences_have_deletions_for_some_of_them_only() -> None:
    inputs = Inputs(kind="sequence", values=np.tile(sequences(4).values, (1, 24)))
    part = PARTS["mutagenesis"](request(Counts(), inputs))
    known = np.isfinite(part.arrays["mutagenesis"]["deletions"]).all(axis=1)
    assert known.tolist() == [True, True, False, False]
    assert part.facts["sequences_with_deletions"] == 2


def genotypes(p: int) -> Inputs:
    values = rng(4).integers(0, 3, (40, p)).astype(np.float32)
    variants = pd.DataFrame({"id": [f"m{i}" for i in range(p)], "chromosome": "1", "position": np.arange(p)})
    return Inputs(kind="genotype", values=values, variants=variants)


def test_genotypes_have_effects_of_dosages() -> None:
    part = PARTS["mutagenesis"](request(Dosages(), genotypes(5)))
    table = part.tables["dosage_effects"]
    np.testing.assert_allclose(table["additive"], np.arange(5))
    np.testing.assert_allclose(table["dominance"], [1.0, 0, 0, 0, 0], atol=1e-9)
    assert part.facts["individuals"] == 40
    assert "effect_missing" not in table


def test_of_many_variants_those_with_the_largest_contributions_are_changed() -> None:
    asked = request(Dosages(), genotypes(8000))
    part = PARTS["mutagenesis"](asked)
    changed = 150_000_000 // 8000 // 16
    assert len(part.tables["dosage_effects"]) == changed
    strongest = np.abs(asked.attribution.values).mean(axis=0).argmax()
    assert f"m{strongest}" in set(part.tables["dosage_effects"]["id"])
    assert any("largest contributions" in note for note in part.notes)
    assert part.facts["individuals"] == 8


def test_the_surrogate_is_of_the_highest_prediction() -> None:
    asked = request(Counts(), sequences())
    part = PARTS["surrogate"](asked)
    row = int(asked.attribution.predictions.argmax())
    table = part.tables["surrogate"]
    assert part.facts["id"] == f"s{row}"
    codes = asked.attribution.inputs.values[row]
    assert "".join(table["reference"]) == decode(codes[None])[0]
    effects = table[list("ACGT")].to_numpy()
    start = int((np.lib.stride_tricks.sliding_window_view(codes, 7) == WORD).all(axis=1).argmax())
    inside = np.isin(np.arange(LENGTH), np.arange(start, start + 7))
    assert effects[inside].min(axis=1).max() < -0.5
    assert np.abs(effects[~inside]).max() < 0.5
    assert 0.4 < part.facts["r2_additive"] < part.facts["r2_pairwise"] <= 1.0
    assert part.facts["spearman_with_mutagenesis"] > 0.5
    assert {"position_a", "position_b", "base_a", "base_b", "effect"} == set(part.tables["surrogate_pairs"].columns)


def test_the_surrogate_of_variants_of_one_sequence_is_of_their_consensus() -> None:
    inputs = sequences(60)
    inputs.values[:] = inputs.values[:1]
    changed = rng().random(inputs.values.shape) < 0.05
    inputs.values[changed] = (1 << rng().integers(0, 4, int(changed.sum()))).astype(np.uint8)
    part = PARTS["surrogate"](request(Counts(), inputs))
    assert part.facts["id"] == "the consensus"
    truth = "".join("ACGT"[int(np.log2(code))] for code in sequences(60).values[0])
    assert "".join(part.tables["surrogate"]["reference"]) == truth


def test_a_surrogate_of_genotypes_or_of_a_constant_has_nothing_to_say() -> None:
    with pytest.raises(NotApplicableError, match="genotypes"):
        PARTS["surrogate"](request(Dosages(), genotypes(5)))
    constant = type("Constant", (), {"kind": "mean", "predict": lambda _, inputs: np.ones(len(inputs))})()
    with pytest.raises(NotApplicableError, match="nothing to fit"):
        PARTS["surrogate"](request(constant, sequences(20)))


def test_of_inbred_lines_nothing_is_said_of_dominance() -> None:
    inputs = genotypes(5)
    values = 2.0 * rng(9).integers(0, 2, (900, 5)).astype(np.float32)
    values[rng(10).random(values.shape) < 0.01] = 1.0  # 1 % of the calls, as in lines after some selfings
    part = PARTS["mutagenesis"](request(Dosages(), Inputs(kind="genotype", values=values, variants=inputs.variants)))
    assert part.tables["dosage_effects"]["dominance"].isna().all()
    assert part.facts["heterozygosity"] == pytest.approx(0.01, abs=0.004)
    assert part.facts["expected_heterozygosity"] == pytest.approx(0.5, abs=0.02)
    assert part.facts["variants_with_dominance"] == 0
    assert part.notes[1].startswith("These are inbred lines (1.2% of the calls are heterozygous")
    np.testing.assert_allclose(part.tables["dosage_effects"]["additive"], np.arange(5))


@pytest.mark.parametrize(
    ("counts", "known"),
    [
        ((40, 20, 40), True),
        ((40, 9, 40), False),  # too few heterozygotes
        ((400, 15, 400), False),  # less than 5 % of the calls
        ((40, 20, 4), False),  # one homozygote was hardly seen
        ((0, 50, 50), False),
    ],
)
def test_dominance_takes_heterozygotes_and_both_homozygotes(counts: tuple[int, int, int], known: bool) -> None:
    dosages = np.repeat([0.0, 1.0, 2.0], counts)[:, None]
    others = rng(11).integers(0, 3, (len(dosages), 20))  # outbred elsewhere
    found = dosage_classes(np.concatenate([dosages, others], axis=1))
    assert found.counts[:, 0].tolist() == list(counts)
    assert not found.is_inbred
    assert bool(found.dominance_known[0]) == known
    assert f"{int(found.dominance_known.sum())} of the 21" in dominance_sentence(found.facts()) or known


def test_dosages_are_counted_by_the_nearest_and_missing_calls_not() -> None:
    found = dosage_classes(np.array([[0.0, np.nan], [0.4, 1.6], [0.9, 1.2], [2.0, np.nan]]))
    assert found.counts.tolist() == [[2, 0], [1, 1], [1, 1]]
    assert dosage_classes(np.zeros((0, 3))).dominance_known.tolist() == [False] * 3
