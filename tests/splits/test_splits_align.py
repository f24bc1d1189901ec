import numpy as np
import pytest

from automl_pheno.data import reverse_complement
from automl_pheno.splits.align import Jobs, align_by_numpy, best_windows, choose_aligner, make_bases

edlib = pytest.importorskip("edlib")


def edits(query, target):
    """Fewest edits of `query` as a part of `target`: the table of Sellers (1980)."""
    row = [0] * (len(target) + 1)
    for i, base in enumerate(query):
        new = [i + 1]
        for j, other in enumerate(target):
            unequal = base != other or base > 3
            new.append(min(row[j] + unequal, row[j + 1] + 1, new[-1] + 1))
        row = new
    return min(row)


def random_codes(rng, n, shortest, longest):
    codes = np.zeros((n, longest), dtype=np.uint8)
    for row in range(n):
        length = rng.integers(shortest, longest + 1)
        codes[row, :length] = rng.choice([1, 2, 4, 8, 15, 5], size=length, p=[0.24, 0.24, 0.24, 0.24, 0.02, 0.02])
    return codes


def near_copies(rng, codes, most):
    out = codes.copy()
    for row in out:
        for place in rng.choice(len(row), size=rng.integers(0, most + 1)):
            if row[place]:
                row[place] = rng.choice([1, 2, 4, 8])
    return out


@pytest.mark.parametrize(("shortest", "longest"), [(1, 30), (60, 70), (120, 150)])
def test_numpy_and_edlib_agree_with_the_table(shortest, longest):
    rng = np.random.default_rng(longest)
    codes = random_codes(rng, 20, shortest, longest)
    bases = make_bases(np.concatenate([codes, near_copies(rng, codes, longest // 5)]))
    m = 120
    query, target = rng.integers(0, 40, m), rng.integers(0, 40, m)
    target[::2] = (query[::2] + 20) % 40
    begin = (rng.random(m) ** 3 * bases.lengths[query]).astype(np.int64)
    end = begin + 1 + (rng.random(m) ** 0.3 * (bases.lengths[query] - begin - 1)).astype(np.int64)
    reverse = rng.random(m) < 0.3
    jobs = Jobs(query=query, begin=begin, end=end, target=target, reverse=reverse, limit=rng.integers(0, longest, m))
    expected = []
    for q, b, e, t, r, limit in zip(query, begin, end, target, reverse, jobs.limit, strict=True):
        other = (bases.backward if r else bases.forward)[t, : bases.lengths[t]]
        expected.append(min(edits(bases.forward[q, b:e].tolist(), other.tolist()), limit + 1))
    by_edlib, name = choose_aligner()
    assert name == "edlib"
    assert align_by_numpy(bases, jobs).tolist() == expected
    assert by_edlib(bases, jobs).tolist() == expected


def test_numpy_aligns_where_edlib_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "edlib", None)
    assert choose_aligner() == (align_by_numpy, "NumPy")


def test_no_pairs_are_no_work():
    none = np.empty(0, dtype=np.int64)
    jobs = Jobs(query=none, begin=none, end=none, target=none, reverse=none.astype(bool), limit=none)
    bases = make_bases(np.ones((2, 5), dtype=np.uint8))
    assert len(align_by_numpy(bases, jobs)) == len(choose_aligner()[0](bases, jobs)) == 0


def test_bases_and_reverse_complements():
    codes = random_codes(np.random.default_rng(3), 12, 1, 20)
    bases = make_bases(codes)
    other = make_bases(reverse_complement(codes))
    assert (bases.backward == other.forward).all()
    assert (bases.forward == other.backward).all()
    assert bases.ambiguous is not None
    assert (np.diff(bases.ambiguous, axis=1) == (bases.forward == 4)).all()


def test_best_windows_are_those_of_a_loop():
    rng = np.random.default_rng(4)
    codes = random_codes(rng, 12, 10, 24)
    codes[6:] = near_copies(rng, codes[:6], 6)
    bases = make_bases(codes)
    m = 200
    first, second = rng.integers(0, 12, m), rng.integers(0, 12, m)
    reverse, offset, width = rng.random(m) < 0.3, rng.integers(-30, 31, m), rng.integers(1, 24, m)
    expected = []
    for a, b, r, shift, wide in zip(first, second, reverse, offset, width, strict=True):
        other = (bases.backward if r else bases.forward)[b]
        places = [(i, i + shift) for i in range(24)]
        equal = [0 <= j < 24 and bases.forward[a, i] == other[j] and other[j] < 4 for i, j in places]
        expected.append(max(sum(equal[i : i + wide]) for i in range(24 - wide + 1)))
    assert best_windows(bases, first, second, reverse, offset, width).tolist() == expected
