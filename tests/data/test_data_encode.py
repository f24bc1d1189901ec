import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_pheno.data import decode, encode_sequences, one_hot, reverse_complement
from automl_pheno.errors import DataError

LETTERS = "ACGTRYSWKMBDHVN"
COMPLEMENT = str.maketrans(LETTERS, "TGCAYRSWMKVHDBN")
texts = st.lists(st.text(LETTERS, min_size=1, max_size=30), min_size=1, max_size=20)


@given(texts)
def test_decode_undoes_encode(sequences):
    codes, _ = encode_sequences(sequences)
    assert codes.shape == (len(sequences), max(map(len, sequences)))
    assert decode(codes) == sequences


@given(texts)
def test_reverse_complement_is_that_of_the_text(sequences):
    codes, _ = encode_sequences(sequences)
    assert decode(reverse_complement(codes)) == [text.translate(COMPLEMENT)[::-1] for text in sequences]


def test_one_hot_shares_ambiguous_bases_and_leaves_padding_empty():
    codes, _ = encode_sequences(["AN", "R"])
    expected = [[[1, 0, 0, 0], [0.25] * 4], [[0.5, 0, 0.5, 0], [0] * 4]]
    np.testing.assert_allclose(one_hot(codes), expected)


@given(texts, st.data())
def test_a_bad_letter_is_found_where_it_is(sequences, data):
    row = data.draw(st.integers(0, len(sequences) - 1))
    position = data.draw(st.integers(0, len(sequences[row]) - 1))
    text = sequences[row]
    sequences[row] = f"{text[:position]}!{text[position + 1 :]}"
    with pytest.raises(DataError, match=rf"^sequence {row + 1}: position {position + 1}: '!'"):
        encode_sequences(sequences)


def test_one_sequence_far_too_long_is_refused_rather_than_padded():
    with pytest.raises(DataError, match="sequence 3000: a sequence of 3,000,000 bp, where the median is 8 bp"):
        encode_sequences(["ACGTACGT"] * 2999 + ["A" * 3_000_000])


def test_nothing_to_encode():
    with pytest.raises(DataError, match="no sequences"):
        encode_sequences([])
