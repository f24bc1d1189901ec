"""New inputs that do not look like those of training: what is done, said and refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import automl_pheno as ap
from automl_pheno.api import predict_file
from automl_pheno.data import Examples, Inputs, encode_sequences
from automl_pheno.data.frame import Frame
from automl_pheno.data.variants import variant_table
from automl_pheno.errors import InputWarning
from automl_pheno.predictors import make_predictor, save_predictor

N, LENGTH, P = 80, 40, 30
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def unrelated(n: int, length: int, seed: int = 1) -> list[str]:
    return ["".join(row) for row in rng(seed).choice(list("ACGT"), (n, length))]


def library(n: int, seed: int = 2) -> list[str]:
    """Return mutants of one sequence, each with about one base in ten changed."""
    (wild,) = unrelated(1, LENGTH, seed=7)
    draws = rng(seed)
    return ["".join(draws.choice(list("ACGT")) if draws.random() < 0.13 else base for base in wild) for _ in range(n)]


def fitted(folder: Path, inputs: Inputs) -> ap.Best:
    folder.mkdir()
    examples = Examples(inputs=inputs, y=rng().normal(size=len(inputs)), groups=np.arange(len(inputs)))
    predictor = make_predictor({"name": "ridge"})
    predictor.fit(examples, rng=rng())
    save_predictor(predictor, folder, inputs, trait="leaf")
    return ap.load(folder)


def of_sequences(folder: Path, sequences: list[str]) -> ap.Best:
    return fitted(folder, Inputs(kind="sequence", values=encode_sequences(sequences)[0]))


@pytest.fixture
def best(tmp_path: Path) -> ap.Best:
    return of_sequences(tmp_path / "best", unrelated(N, LENGTH))


@pytest.fixture
def mutants(tmp_path: Path) -> ap.Best:
    return of_sequences(tmp_path / "mutants", library(N))


@pytest.fixture
def breeding(tmp_path: Path) -> ap.Best:
    return fitted(tmp_path / "breeding", genotypes(N))


def genotypes(n: int, seed: int = 0) -> Inputs:
    frequency = rng(99).beta(1, 1, P)
    variants = variant_table(
        [f"rs{i}" for i in range(P)],
        chromosome=["1"] * P,
        position=list(range(1, P + 1)),
        ref=["A", "C", "A"] * 10,
        alt=["G", "G", "T"] * 10,
    )
    return Inputs(
        kind="genotype", values=rng(seed).binomial(2, frequency, (n, P)).astype(np.float32), variants=variants
    )


# -- what python says --------------------------------------------------------------------------------------------


def test_inputs_that_fit_are_predicted_without_a_word(best: ap.Best, breeding: ap.Best, mutants: ap.Best) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(best.predict(unrelated(5, LENGTH, seed=3))).all()
        assert np.isfinite(mutants.predict(library(5, seed=3))).all()
        assert np.isfinite(breeding.predict(genotypes(5, seed=3))).all()


def test_what_is_done_to_inputs_is_said_in_python_as_on_the_command_line(
    best: ap.Best, breeding: ap.Best, tmp_path: Path
) -> None:
    short = unrelated(3, LENGTH - 5, seed=4)
    with pytest.warns(InputWarning) as said:
        values = best.predict(short)
    texts = [str(warning.message) for warning in said]
    assert texts == [
        "the longest sequence has 35 bp; padded on the right to the 40 bp that the winner reads",
        "3 of 3 sequences are shorter than any of training (40 bp): 0, 1, 2",
    ]
    assert said[0].filename == __file__
    pd.DataFrame({"id": [0, 1, 2], "sequence": short}).to_csv(tmp_path / "short.csv", index=False)
    done = predict_file(best.path, tmp_path / "short.csv", tmp_path / "out.csv")
    assert [note for note in done.notes if note in texts] == texts
    np.testing.assert_allclose(pd.read_csv(tmp_path / "out.csv")["prediction"], values)
    given = genotypes(5, seed=3)
    fewer = Inputs(kind="genotype", values=given.values[:, 1:], variants=given.variants.iloc[1:].reset_index(drop=True))
    with pytest.warns(InputWarning, match="1 of the 30 variants that are read are not in the input"):
        breeding.predict(fewer)


def test_a_prediction_that_is_no_number_is_never_returned_or_written(best: ap.Best, tmp_path: Path) -> None:
    class Broken:
        def predict(self, inputs: Inputs) -> np.ndarray:
            return np.array([1.0, np.nan, np.inf])[: len(inputs)]

    best._loaded.append(Broken())  # type: ignore[arg-type]
    with pytest.raises(ap.AutoMLPhenoError, match="2 of 3 predictions are no finite numbers: 1, 2"):
        best.predict(unrelated(3, LENGTH))


def test_samples_that_were_matched_before_are_not_said_twice(best: ap.Best) -> None:
    samples = best.samples(unrelated(3, LENGTH - 5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(best.predict(samples), best.predict_samples(samples))
    assert best.samples(samples).notes == samples.notes


# -- sequences ---------------------------------------------------------------------------------------------------


def test_far_shorter_sequences_are_refused(best: ap.Best) -> None:
    tiny = unrelated(3, 12)
    with pytest.raises(ap.AutoMLPhenoError, match=r"3 of 3 .* than half .*\(40 bp\): 0, 1, 2; --allow-mismatch"):
        best.predict(tiny)
    samples = best.samples(tiny, allow_mismatch=True)
    assert any(note.startswith("mismatch allowed: 3 of 3 sequences") for note in samples.notes)
    assert np.isfinite(best.predict_samples(samples)).all()
    one = best.samples([*unrelated(3, LENGTH), tiny[0]])  # one of many is said
    assert any("1 of 4 sequences are shorter than half" in note for note in one.notes)


@pytest.mark.parametrize("how", ["another library", "reversed", "complement", "shifted"])
def test_sequences_outside_the_frame_of_a_library_are_refused(mutants: ap.Best, how: str) -> None:
    others = {
        "another library": unrelated(6, LENGTH, seed=5),
        "reversed": [text[::-1] for text in library(6)],
        "complement": [text[::-1].translate(COMPLEMENT) for text in library(6)],
        "shifted": [text[3:] + text[:3] for text in library(6)],
    }[how]
    with pytest.raises(ap.AutoMLPhenoError, match="of 6 sequences are not in the frame of those of training"):
        mutants.predict(others)
    mixed = mutants.samples([*library(5), unrelated(1, LENGTH, seed=6)[0]])
    assert any("1 of 6 sequences are not in the frame" in note and note.endswith(": 5") for note in mixed.notes)


def test_sequences_without_a_frame_have_none() -> None:
    assert Frame.of(encode_sequences(unrelated(500, 60))[0]).consensus == ""
    assert Frame.of(encode_sequences(library(500))[0]).consensus != ""
    assert Frame.of(encode_sequences(library(5))[0]).consensus == ""  # too few to say
    frame = Frame.of(encode_sequences([*library(50), "ACGTACGT"])[0])
    assert frame.shortest == 8
    assert Frame.read(json.loads(json.dumps(frame.plain()))) == frame
    assert Frame.read({"shortest": 8, "bases": "ACGT"}) is None


def test_sequences_of_which_nothing_is_known_are_named(best: ap.Best) -> None:
    with pytest.warns(InputWarning, match=r"1 of 3 samples have known bases in fewer than one of .*: 1 \(0 of 40\)"):
        best.predict(["ACGT" * 10, "N" * 40, "acgu" * 10])
    with pytest.raises(ap.AutoMLPhenoError, match="none of the 2 samples has known bases"):
        best.predict(["N" * 40, "n" * 40])


def test_a_winner_of_an_older_run_predicts_as_before(best: ap.Best) -> None:
    header = json.loads((best.path / "predictor.json").read_text())
    del header["frame"]
    (best.path / "predictor.json").write_text(json.dumps(header))
    old = ap.load(best.path)
    assert old.frame is None
    samples = old.samples(unrelated(3, 12))
    assert np.isfinite(old.predict_samples(samples)).all()


def test_a_single_sequence_that_is_no_list_is_told_from_a_file(best: ap.Best) -> None:
    with pytest.raises(ap.AutoMLPhenoError, match=r"ACGTACGTACGTACGTACGT: is no file; .*predict\(\[sequence\]\)"):
        best.predict("ACGT" * 10)
    with pytest.raises(ap.AutoMLPhenoError, match=r"sequences\.fa: no such file"):
        best.predict("sequences.fa")


# -- genotypes ---------------------------------------------------------------------------------------------------


def test_samples_without_a_call_are_named_and_a_file_of_them_refused(breeding: ap.Best) -> None:
    given = genotypes(4, seed=3)
    given.values[1] = np.nan
    with pytest.warns(InputWarning, match=r"1 of 4 samples have calls in fewer than one of .*: 1 \(0 of 30\)"):
        breeding.predict(given)
    given.values[:] = np.nan
    with pytest.raises(ap.AutoMLPhenoError, match="none of the 4 samples has calls"):
        breeding.predict(given)


def test_a_table_that_counts_the_other_allele_is_refused(breeding: ap.Best, tmp_path: Path) -> None:
    given = genotypes(10, seed=3)
    table = pd.DataFrame(given.values, index=[f"g{i}" for i in range(10)], columns=given.variants["id"])
    expected = breeding.predict(given)
    with pytest.warns(InputWarning, match="30 of the 30 variants that are read have no alleles to compare"):
        np.testing.assert_allclose(breeding.predict(table), expected)
    with pytest.raises(ap.AutoMLPhenoError, match="the dosages seem to count the other alleles"):
        breeding.predict(2 - table)
    assert breeding.variants is not None
    assert "frequency" in breeding.variants
    old = breeding.variants.drop(columns="frequency")
    old.to_csv(breeding.path / "variants.csv", index=False)  # as of an older run
    with pytest.warns(InputWarning, match="no alleles to compare"):
        ap.load(breeding.path).predict(2 - table)


def test_ids_that_look_like_missing_values_are_written_as_they_are(breeding: ap.Best, tmp_path: Path) -> None:
    given = genotypes(4, seed=3)
    table = pd.DataFrame(given.values, index=["NA", "None", "nan", "a,b"], columns=given.variants["id"])
    table.rename_axis("id").to_csv(tmp_path / "new.csv")
    predict_file(breeding.path, tmp_path / "new.csv", tmp_path / "out.csv")
    written = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
    assert written["id"].tolist() == ["NA", "None", "nan", "a,b"]
    np.testing.assert_allclose(written["prediction"], breeding.predict_samples(breeding.samples(given)))
