import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.api.match import match_variants
from automl_pheno.data import Inputs
from automl_pheno.data.alleles import compare_alleles, harmonise, is_ambiguous
from automl_pheno.data.variants import variant_table
from automl_pheno.errors import DataError, PredictorError

TURNED = str.maketrans("ACGT", "TGCA")


def turned(allele):
    return allele.translate(TURNED)[::-1]


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ("A/G", "A/G", "same"),
        ("a/g", "A/G", "same"),
        ("G/A", "A/G", "swapped"),
        ("T/C", "A/G", "flipped"),
        ("C/T", "A/G", "flipped and swapped"),
        ("A/T", "A/T", "same"),
        ("T/A", "A/T", "swapped"),
        ("A/C", "A/G", "mismatch"),
        ("A/T", "A/G", "mismatch"),
        ("A/", "A/G", "same"),
        ("G/", "A/G", "swapped"),
        ("/G", "A/G", "same"),
        ("T/", "A/G", "flipped"),
        ("C/", "A/G", "flipped and swapped"),
        ("/", "A/G", "unknown"),
        ("A/G", "/", "unknown"),
        ("AT/A", "AT/A", "same"),
        ("AAC/T", "GTT/A", "flipped"),
        ("L/H", "H/L", "swapped"),
        ("A/<DEL>", "A/<DEL>", "same"),
        ("A/<DEL>", "A/<INS>", "mismatch"),
    ],
)
def test_how_alleles_compare(given, wanted, expected):
    assert compare_alleles(tuple(given.split("/")), tuple(wanted.split("/"))) == expected


def test_which_alleles_do_not_tell_the_strand():
    assert is_ambiguous(("A", "T"))
    assert is_ambiguous(("G", "C"))
    assert not is_ambiguous(("A", "G"))
    assert not is_ambiguous(("A", ""))


def inputs(variants, rng, n=5):
    return Inputs(kind="genotype", values=rng.integers(0, 3, (n, len(variants))).astype(np.float32), variants=variants)


def table(*rows):
    ids, places, refs, alts = zip(*(row.split() for row in rows), strict=True)
    chromosomes, positions = zip(*(place.split(":") for place in places), strict=True)
    return variant_table(
        ids, chromosome=chromosomes, position=[int(position) for position in positions], ref=refs, alt=alts
    )


WANTED = table("v1 1:10 A G", "v2 1:20 A G", "v3 1:30 A C", "v4 2:10 A T", "v5 2:20 C T", "v6 3:5 G T", "v7 3:9 G T")


def test_every_way_a_variant_can_be_stated():
    rng = np.random.default_rng(0)
    other = table(
        "spare 9:1 A G",
        "v1 1:10 A G",  # the same
        "v2 1:20 G A",  # swapped
        "v3 1:30 T G",  # the other strand
        "x4 chr2:10 T A",  # by place, swapped, ambiguous
        "x5 2:20 C A",  # at the place of v5, other alleles
        "y5 2:20 A G",  # the same place; the other strand of T C, so swapped
        "v6 3:5 A C",  # other alleles: flipped and swapped
        "v7 3:9 A A",  # mismatch
    )
    found = inputs(other, rng)
    got, notes = harmonise(found, WANTED)
    d = dict(zip(other["id"], found.values.T, strict=True))
    expected = [d["v1"], 2 - d["v2"], d["v3"], 2 - d["x4"], 2 - d["y5"], 2 - d["v6"], np.full(5, np.nan)]
    np.testing.assert_array_equal(got.values, np.stack(expected, axis=1))
    assert got.variants is WANTED
    text = "\n".join(notes)
    assert "1 of the 7 variants that are read have other alleles in the input and count as missing calls: v7" in text
    assert "2 of the 7 variants that are read were matched by chromosome and position" in text
    assert "2 of the 7 variants that are read have reference and alternate allele swapped" in text
    assert "1 of the 7 variants that are read are named on the other strand" in text
    assert "2 of the 7 variants that are read are on the other strand and swapped" in text
    assert "1 of the 7 variants that are read are A/T or C/G" in text
    assert "2 of the 9 variants of the input are not read" in text


def test_what_is_not_there_is_missing_and_counted():
    found = inputs(table("v2 1:20 A G"), np.random.default_rng(0))
    got, notes = harmonise(found, WANTED)
    np.testing.assert_array_equal(got.values[:, 1], found.values[:, 0])
    assert np.isnan(np.delete(got.values, 1, axis=1)).all()
    assert any("6 of the 7 variants that are read are not in the input" in note for note in notes)


def test_without_alleles_ids_alone_count():
    rng = np.random.default_rng(0)
    found = inputs(variant_table(["v3", "v1"]), rng)
    got, notes = harmonise(found, WANTED)
    np.testing.assert_array_equal(got.values[:, [2, 0]], found.values)
    assert any("2 of the 7 variants that are read have no alleles to compare" in note for note in notes)
    got, notes = harmonise(found, variant_table(["v1", "v3"]))
    np.testing.assert_array_equal(got.values, found.values[:, ::-1])
    assert notes == ()


def test_nothing_in_common_and_nothing_alike_are_errors():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"none of the 7 variants .*\(v1, v2, v3, ...\)"):
        harmonise(inputs(table("a 7:1 A G"), rng), WANTED)
    with pytest.raises(DataError, match="all 1 variants in common have other alleles: v1 is C/A, not A/G"):
        harmonise(inputs(table("v1 1:10 C A"), rng), WANTED)
    with pytest.raises(PredictorError, match="none of the 7"):
        match_variants(inputs(table("a 7:1 A G"), rng), WANTED)


SNPS = [(a, b) for a in "ACGT" for b in "ACGT" if a != b and a != turned(b)]


@settings(deadline=None, max_examples=50)
@given(data=st.data(), n=st.integers(1, 4))
def test_any_mix_of_swaps_flips_and_order_is_undone(data, n):
    alleles = data.draw(st.lists(st.sampled_from(SNPS), min_size=1, max_size=12))
    p = len(alleles)
    names = [f"v{i}" for i in range(p)]
    wanted = variant_table(
        names, chromosome=["1"] * p, position=range(1, p + 1), ref=[a for a, _ in alleles], alt=[b for _, b in alleles]
    )
    truth = np.array(data.draw(st.lists(st.lists(st.sampled_from([0.0, 1.0, 2.0, np.nan]), min_size=p, max_size=p),
                                        min_size=n, max_size=n)), dtype=np.float32)  # fmt: skip
    order = data.draw(st.permutations(range(p)))
    swap, flip, rename = (data.draw(st.lists(st.booleans(), min_size=p, max_size=p)) for _ in range(3))
    rows, columns = [], []
    for i in order:
        ref, alt = alleles[i][::-1] if swap[i] else alleles[i]
        rows.append(
            (f"other{i}" if rename[i] else names[i], i + 1, *(map(turned, (ref, alt)) if flip[i] else (ref, alt)))
        )
        columns.append(2 - truth[:, i] if swap[i] else truth[:, i])
    ids, positions, refs, alts = zip(*rows, strict=True)
    stated = variant_table(ids, chromosome=["chr1"] * p, position=positions, ref=refs, alt=alts)
    got, _ = harmonise(Inputs(kind="genotype", values=np.stack(columns, axis=1), variants=stated), wanted)
    np.testing.assert_array_equal(got.values, truth)
