import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.data import decode, encode_sequences
from automl_pheno.progress import listening
from automl_pheno.splits.align import make_bases
from automl_pheno.splits.kmers import Join, canonical_kmers, index_kmers

COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
LOTS = 1e12


def reverse_complement(text):
    return text.translate(COMPLEMENT)[::-1]


def naive_kmers(text, k):
    """Canonical k-mers of plain bases, by sets of strings."""
    found = (text[i : i + k] for i in range(len(text) - k + 1))
    return {min(one, reverse_complement(one)) for one in found if "N" not in one}


def naive_pairs(texts, k, needed):
    sets = [naive_kmers(text, k) for text in texts]
    shared = {(a, b): len(sets[a] & sets[b]) for a, b in itertools.combinations(range(len(texts)), 2)}
    return {pair: n for pair, n in shared.items() if n >= min(needed[pair[0]], needed[pair[1]])}


def bases_of(texts):
    return make_bases(encode_sequences(texts)[0])


sequences = st.lists(st.text("ACGTN", min_size=1, max_size=40), min_size=1, max_size=12)


@given(texts=sequences, k=st.integers(1, 15))
def test_codes_are_those_of_strings(texts, k):
    bases = bases_of(texts)
    codes, reverse, valid = canonical_kmers(bases.forward, k)
    for row, text in enumerate(texts):
        found = {}
        for place in np.flatnonzero(valid[row]):
            word = text[place : place + k]
            canonical = reverse_complement(word) if reverse[row, place] else word
            assert canonical == min(word, reverse_complement(word))
            assert found.setdefault(canonical, codes[row, place]) == codes[row, place]
        assert set(found) == naive_kmers(text, k)
        assert len(set(found.values())) == len(found)


@settings(deadline=None)
@given(texts=sequences, k=st.sampled_from([1, 3, 5]), needed=st.integers(1, 4), data=st.data())
def test_the_join_finds_what_sets_of_strings_share(texts, k, needed, data):
    each = np.array(data.draw(st.lists(st.integers(1, needed), min_size=len(texts), max_size=len(texts))))
    index = index_kmers(bases_of(texts).forward, k, most_products=LOTS)
    assert index.dropped == 0
    assert index.distinct.tolist() == [len(naive_kmers(text, k)) for text in texts]
    found = {}
    for some in Join(index).pairs(each):
        for a, b, shared in zip(some.first, some.second, some.shared, strict=True):
            found[int(a), int(b)] = int(shared)
    assert found == naive_pairs(texts, k, each)


def test_offset_and_strand_say_how_two_sequences_lie():
    rng = np.random.default_rng(0)
    whole = "".join(rng.choice(list("ACGT"), 150))
    texts = [whole[:100], whole[30:130], reverse_complement(whole[50:120]), whole[10:60]]
    (some,) = Join(index_kmers(bases_of(texts).forward, 9, most_products=LOTS)).pairs(np.full(4, 10))
    found = {(int(a), int(b)): (bool(r), int(o)) for a, b, r, o in zip(
        some.first, some.second, some.reverse, some.offset, strict=True)}  # fmt: skip
    # base 0 of the first lies at this base of (the strand meant of) the second
    assert found == {
        (0, 1): (False, -30), (0, 2): (True, -50), (0, 3): (False, -10),
        (1, 2): (True, -20), (1, 3): (False, 20),
    }  # fmt: skip


def test_the_commonest_k_mers_are_dropped_and_counted():
    rng = np.random.default_rng(1)
    texts = ["A" * 20 + "".join(rng.choice(list("ACGT"), 30)) for _ in range(40)]
    index = index_kmers(bases_of(texts).forward, 9, most_products=1500.0)
    assert (index.dropped, index.dropped_from) == (1, 40)  # AAAAAAAAA
    free = index_kmers(bases_of(texts).forward, 9, most_products=LOTS)
    assert free.dropped == 0
    assert (free.distinct - index.distinct == 1).all()
    assert not list(Join(index).pairs(np.full(40, 10)))
    (some,) = Join(free).pairs(np.ones(40, dtype=np.int64))
    assert len(set(zip(some.first, some.second, strict=True))) == 40 * 39 / 2


def test_counts_by_chance_are_those_of_sets():
    rng = np.random.default_rng(2)
    texts = ["".join(rng.choice(list("ACGT"), 60)) for _ in range(30)]
    others = ["".join(rng.choice(list("ACGT"), 60)) for _ in range(5)] + [texts[3]]
    counts = Join(index_kmers(bases_of(texts).forward, 5, most_products=LOTS)).shared_counts(bases_of(others).forward)
    sets = [naive_kmers(text, 5) for text in texts]
    often = {word for a, b in itertools.combinations(sets, 2) for word in a & b}
    expected = np.bincount([len(naive_kmers(a, 5) & often & b) for a in others for b in sets])
    assert counts[1 : len(expected)].tolist() == expected[1:].tolist()
    assert counts[len(expected) :].sum() == 0


@pytest.mark.parametrize("texts", [["ACG"], ["A", "C"], ["NNNNNNNNNNNN", "ACGTACGTACGT"]])
def test_sequences_without_k_mers_have_no_pairs(texts):
    bases = bases_of(texts)
    assert decode(encode_sequences(texts)[0]) == texts
    assert not list(Join(index_kmers(bases.forward, 7, most_products=LOTS)).pairs(np.ones(len(texts), dtype=np.int64)))


def test_progress_is_heard_only_while_listening():
    heard = []
    bases = bases_of(["ACGTACGTACGT"] * 3)
    with listening(lambda step, done: heard.append((step, done))):
        list(Join(index_kmers(bases.forward, 3, most_products=LOTS)).pairs(np.ones(3, dtype=np.int64)))
    index_kmers(bases.forward, 3, most_products=LOTS)
    assert [done for _, done in heard] == [0.0, 1.0, 0.0, 1.0]
    assert len({step for step, _ in heard}) == 2
