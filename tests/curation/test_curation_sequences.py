import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_pheno.curation.sequences import constant_flanks, describe_sequences, sequence_notes, trim_flanks
from automl_pheno.data import decode, encode_sequences


def texts_of(rng, n, length):
    return ["".join(row) for row in rng.choice(list("ACGT"), size=(n, length))]


def codes_of(texts):
    return encode_sequences(texts)[0]


def test_flanks_are_found_and_trimmed():
    rng = np.random.default_rng(0)
    cores = [text[: 30 + i % 5] for i, text in enumerate(texts_of(rng, 200, 40))]
    cores = ["ACGT"[i % 4] + core + "ACGT"[(i // 4) % 4] for i, core in enumerate(cores)]  # the cores' ends differ
    texts = ["GATTACA" + core + "TTGCC" for core in cores]
    texts[5] = "C" + texts[5][1:]  # 1 of 200 differs
    flanks = constant_flanks(codes_of(texts))
    assert (flanks.left, flanks.right) == (7, 5)
    assert (flanks.left_sequence, flanks.right_sequence) == ("GATTACA", "TTGCC")
    assert decode(trim_flanks(codes_of(texts), flanks)) == cores


def test_a_flank_that_is_not_constant_enough_is_none():
    rng = np.random.default_rng(1)
    texts = ["ACGTACGT" + text for text in texts_of(rng, 100, 50)]
    for row in (3, 4):  # 2 % differ at position 3
        texts[row] = texts[row][:3] + "A" + texts[row][4:]
    assert constant_flanks(codes_of(texts)).left == 3


@pytest.mark.parametrize("texts", [["ACGTACGTACGTACGTACGT"] * 50, ["ACGT" * 5 + "A", "ACGT" * 5 + "C"]])
def test_equal_or_few_sequences_have_no_flanks(texts):
    flanks = constant_flanks(codes_of(texts))
    assert not flanks
    assert decode(trim_flanks(codes_of(texts), flanks)) == texts


@given(st.lists(st.text("ACGTNR", min_size=1, max_size=90), min_size=1, max_size=8))
def test_the_description_is_that_of_strings(texts):
    table = describe_sequences(codes_of(texts))
    assert table["length"].tolist() == [len(text) for text in texts]
    plain = [sum(text.count(base) for base in "ACGT") for text in texts]
    strong = [text.count("G") + text.count("C") for text in texts]
    np.testing.assert_allclose(table["gc"], [s / p if p else np.nan for s, p in zip(strong, plain, strict=True)])
    np.testing.assert_allclose(table["ambiguous"], [1 - p / len(t) for p, t in zip(plain, texts, strict=True)])


def dust(window):
    """Score of one window: Morgulis et al. 2006."""
    triplets = [window[i : i + 3] for i in range(len(window) - 2)]
    counts = [triplets.count(one) for one in set(triplets)]
    return sum(c * (c - 1) / 2 for c in counts) / (len(triplets) - 1)


def test_low_complexity_is_the_share_of_windows_with_a_high_score():
    rng = np.random.default_rng(2)
    random = texts_of(rng, 50, 160)
    low = ["A" * 160, "AT" * 80, random[0][:96] + "CAG" * 22, random[1][:128] + "T" * 32]
    expected = []
    for text in random + low:
        scores = [dust(text[start : start + 64]) for start in range(0, 128, 32)]
        expected.append(np.mean([score > 2 for score in scores]))
    table = describe_sequences(codes_of([*random, *low[:2], *(text[:160] for text in low[2:])]))
    assert table["low_complexity"].tolist()[:52] == expected[:52]
    assert table["low_complexity"][:50].max() == 0.0
    assert table["low_complexity"][50:52].tolist() == [1.0, 1.0]
    assert (table["low_complexity"][52:] > 0).all()


def test_notes_say_what_is_peculiar():
    rng = np.random.default_rng(3)
    texts = ["GATTACAG" + text for text in texts_of(rng, 100, 92)]
    texts[0] = "GATTACAG" + "AC" * 46
    notes = sequence_notes(codes_of(texts))
    assert "(8 bp on the left)" in notes[0]
    assert "1 of 100 sequences have stretches of low complexity" in notes[1]
    assert "length 100 to 100 bp" in notes[2]
    assert not sequence_notes(codes_of(["ACGT"])[:0])
