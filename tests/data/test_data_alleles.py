import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automl_pheno.api.match import match_variants
from automl_pheno.data import Inputs
from automl_pheno.data.alleles import (
    FREQUENCY,
    compare_alleles,
    compare_frequencies,
    frequencies,
    harmonise,
    is_ambiguous,
)
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
    with pytest.raises(DataError, match=r"1 of the 7 variants in common contradict the model: v7 is A/A, not G/T"):
        harmonise(found, WANTED)
    got, notes = harmonise(found, WANTED, allow_mismatch=True)
    d = dict(zip(other["id"], found.values.T, strict=True))
    nothing = np.full(5, np.nan)  # x4: the variants that tell the strand lie on both
    expected = [d["v1"], 2 - d["v2"], d["v3"], nothing, 2 - d["y5"], 2 - d["v6"], nothing]
    np.testing.assert_array_equal(got.values, np.stack(expected, axis=1))
    assert got.variants is WANTED
    text = "\n".join(notes)
    assert "1 of the 7 variants that are read have other alleles in the input and count as missing calls: v7" in text
    assert "2 of the 7 variants that are read were matched by chromosome and position" in text
    assert "1 of the 7 variants that are read have reference and alternate allele swapped" in text
    assert "1 of the 7 variants that are read are named on the other strand" in text
    assert "2 of the 7 variants that are read are on the other strand and swapped" in text
    assert "1 of the 7 variants that are read are A/T or C/G, which do not tell the strand; the 5 that do" in text
    assert "mismatch allowed: 1 of the 7 variants in common contradict the model" in text
    assert "2 of the 9 variants of the input are not read" in text


def test_what_is_not_there_is_missing_and_counted():
    found = inputs(table("v2 1:20 A G"), np.random.default_rng(0))
    with pytest.raises(DataError, match=r"6 of the 7 variants that are read are missing .*v1, v3, v4, ...; .*allow"):
        harmonise(found, WANTED)
    got, notes = harmonise(found, WANTED, allow_mismatch=True)
    np.testing.assert_array_equal(got.values[:, 1], found.values[:, 0])
    assert np.isnan(np.delete(got.values, 1, axis=1)).all()
    assert any("6 of the 7 variants that are read are not in the input" in note for note in notes)


def test_without_alleles_ids_alone_count():
    rng = np.random.default_rng(0)
    found = inputs(variant_table(["v3", "v1", "v7", "v2"]), rng)
    got, notes = harmonise(found, WANTED)
    np.testing.assert_array_equal(got.values[:, [2, 0, 6, 1]], found.values)
    assert any("4 of the 7 variants that are read have no alleles to compare" in note for note in notes)
    got, notes = harmonise(found, variant_table(["v2", "v7", "v1", "v3"]))
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


# -- a file that contradicts ----------------------------------------------------------------------------------------

PAIRS = ["A G", "C T", "A T", "G C", "T A", "A C"]  # half of them look the same on both strands


def panel(n=60):
    return table(*(f"rs{i} {1 + i // 20}:{100 * (i + 1)} {PAIRS[i % 6]}" for i in range(n)))


def on_the_other_strand(variants):
    return variants.assign(ref=variants["ref"].str.translate(TURNED), alt=variants["alt"].str.translate(TURNED))


def calls(variants, seed=3, n=40):
    return inputs(variants, np.random.default_rng(seed), n=n)


def counted_otherwise(given):
    swapped = given.variants.assign(ref=given.variants["alt"], alt=given.variants["ref"])
    return Inputs(kind="genotype", values=2 - given.values, variants=swapped)


def test_a_file_on_the_other_strand_is_turned_whole_the_ambiguous_variants_too():
    wanted = panel()
    truth = calls(wanted)
    turned_over = Inputs(kind="genotype", values=truth.values, variants=on_the_other_strand(wanted))
    for stated in (truth, counted_otherwise(truth), turned_over, counted_otherwise(turned_over)):
        got, notes = harmonise(stated, wanted)
        np.testing.assert_array_equal(got.values, truth.values)
    assert any("60 of the 60 variants that are read are on the other strand and swapped" in note for note in notes)
    assert any("taken as named on the other strand, as all 30 that do are" in note for note in notes)


def test_ambiguous_variants_are_missing_where_the_others_lie_on_both_strands():
    wanted = panel()
    truth = calls(wanted)
    half = np.arange(len(wanted)) < 30
    mixed = wanted.copy()
    mixed.loc[half] = on_the_other_strand(wanted).loc[half]
    got, notes = harmonise(Inputs(kind="genotype", values=truth.values, variants=mixed), wanted)
    ambiguous = np.array([is_ambiguous(pair) for pair in zip(wanted["ref"], wanted["alt"], strict=True)])
    assert ambiguous.sum() == 30
    assert np.isnan(got.values[:, ambiguous]).all()
    np.testing.assert_array_equal(got.values[:, ~ambiguous], truth.values[:, ~ambiguous])
    assert any("30 of the 60 variants that are read are A/T or C/G" in note for note in notes)


def test_where_no_variant_tells_the_strand_the_same_names_mean_the_same():
    wanted = table("a 1:1 A T", "b 1:2 C G", "c 1:3 T A")
    truth = calls(wanted)
    got, _ = harmonise(truth, wanted)
    np.testing.assert_array_equal(got.values, truth.values)
    with pytest.raises(DataError, match=r"3 of the 3 .* are missing \(3 A/T or C/G of unknown strand\)"):
        harmonise(counted_otherwise(truth), wanted)  # or is it the other strand?


def test_one_strand_error_in_a_thousand_does_not_make_the_strands_mixed():
    wanted = table(*(f"v{i} 1:{i + 1} {'A T' if i == 0 else 'A G'}" for i in range(1200)))
    truth = calls(wanted, n=2)
    given = wanted.copy()
    given.loc[[5], :] = on_the_other_strand(wanted).loc[[5], :]
    got, _ = harmonise(Inputs(kind="genotype", values=truth.values, variants=given), wanted)
    np.testing.assert_array_equal(got.values, truth.values)


@pytest.mark.parametrize("renamed", [True, False])
def test_variants_of_another_assembly_or_under_names_used_again_are_refused(renamed):
    wanted = panel()
    rng = np.random.default_rng(5)
    every = [(a, b) for a in "ACGT" for b in "ACGT" if a != b]
    drawn = [every[i] for i in rng.integers(0, 12, len(wanted))]
    other = wanted.assign(ref=[a for a, _ in drawn], alt=[b for _, b in drawn])
    other = other.assign(id=[f"q{i}" for i in range(60)]) if renamed else other.assign(position=other["position"] + 7)
    with pytest.raises(
        DataError, match=r"of the 60 variants in common contradict the model: rs\d+ is .*ref/alt.*another ass"
    ):
        harmonise(calls(other), wanted)
    _, notes = harmonise(calls(other), wanted, allow_mismatch=True)
    assert any(note.startswith("mismatch allowed: ") for note in notes)


def test_ids_of_another_assembly_are_taken_and_their_new_positions_said():
    wanted = panel()
    truth = calls(wanted.assign(position=wanted["position"] + 12_345))
    got, notes = harmonise(truth, wanted)
    np.testing.assert_array_equal(got.values, truth.values)
    assert any(
        "60 of the 60 variants that are read were matched by id and stand at another position" in n for n in notes
    )


def test_ids_on_other_chromosomes_are_other_variants_even_without_alleles():
    wanted = panel().assign(ref="", alt="")
    other = wanted.assign(chromosome=np.random.default_rng(0).permutation(wanted["chromosome"]))
    with pytest.raises(
        DataError, match=r"of the 60 variants in common contradict the model: rs\d+ is .* at [123]:\d+, not"
    ):
        harmonise(calls(other), wanted)
    renamed = wanted.assign(chromosome=[f"NC_00000{name}.11" for name in wanted["chromosome"]])
    harmonise(calls(renamed), wanted)  # the same chromosomes by other names


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("1", "chr1"), ("Chr01", "1"), ("X", "23"), ("chrX", "23"), ("26", "chrM"), ("MT", "M"), ("chromosome_7", "7")],
)
def test_chromosomes_are_the_same_by_each_of_their_names(ours, theirs):
    wanted = table(f"a {ours}:10 A G", f"b {ours}:20 A C")
    given = table(f"x {theirs}:10 A G", f"y {theirs}:20 A C")
    truth = calls(given)
    np.testing.assert_array_equal(harmonise(truth, wanted)[0].values, truth.values)
    np.testing.assert_array_equal(harmonise(calls(wanted), given)[0].values, calls(wanted).values)


def test_chromosome_23_of_cattle_is_not_x():
    wanted = table("a 23:10 A G", "b X:20 A C", "c 29:5 A G")
    with pytest.raises(DataError, match="none of the 3"):
        harmonise(calls(table("x X:10 A G", "y 29:20 A C")), wanted)


def test_an_id_that_names_another_variant_gives_way_to_the_place():
    wanted = panel(40)
    truth = calls(wanted)
    given = wanted.copy()
    given.loc[[0, 5], "id"] = ["rs5", "rs0"]  # A/G and A/C: exchanged
    got, notes = harmonise(Inputs(kind="genotype", values=truth.values, variants=given), wanted)
    np.testing.assert_array_equal(got.values, truth.values)
    assert any("2 of the 40 variants that are read were matched by chromosome and position" in note for note in notes)


def test_several_variants_at_one_place_are_told_apart_and_ids_that_stand_twice_refused():
    wanted = table("a 1:10 A G", "b 1:10 A C", "c 1:20 A G")
    given = table("r 1:10 A C", "s 1:10 A G", "t 1:10 A AT", "u 1:20 G A")
    truth = calls(given)
    expected = np.column_stack([truth.values[:, 1], truth.values[:, 0], 2 - truth.values[:, 3]])
    np.testing.assert_array_equal(harmonise(truth, wanted)[0].values, expected)
    with pytest.raises(DataError, match="'r' stands there twice"):
        harmonise(calls(given.assign(id="r")), wanted)


def test_dosages_that_count_the_other_allele_are_seen_by_their_frequencies():
    rng = np.random.default_rng(1)
    p = rng.beta(1, 1, 80)
    wanted = variant_table([f"v{i}" for i in range(80)])
    train = rng.binomial(2, p, (200, 80)).astype(np.float32)
    wanted[FREQUENCY] = frequencies(train)
    new = rng.binomial(2, p, (30, 80)).astype(np.float32)
    new[rng.random(new.shape) < 0.2] = np.nan
    given = Inputs(kind="genotype", values=new, variants=wanted.drop(columns=FREQUENCY))
    got, notes = harmonise(given, wanted)
    np.testing.assert_array_equal(got.values, new)
    assert list(got.variants.columns) == ["id", "chromosome", "position", "ref", "alt"]
    assert notes == ()
    other = Inputs(kind="genotype", values=2 - new, variants=given.variants)
    with pytest.raises(DataError, match=r"seem to count the other alleles: .*over 80 variants\).*2 - dosage"):
        harmonise(other, wanted)
    assert np.array_equal(harmonise(other, wanted, allow_mismatch=True)[0].values, 2 - new, equal_nan=True)
    named = wanted.assign(ref="A", alt="G")  # alleles that agree weigh more: it is said
    _, notes = harmonise(Inputs(kind="genotype", values=2 - new, variants=named), named)
    assert any("seem to count the other alleles" in note for note in notes)
    shuffled = Inputs(kind="genotype", values=new[:, rng.permutation(80)], variants=given.variants)
    assert any("allele frequencies of the input are not like" in note for note in harmonise(shuffled, wanted)[1])


def test_frequencies_near_one_half_say_nothing():
    rng = np.random.default_rng(2)  # lines of a cross of two parents
    values = 2.0 * rng.integers(0, 2, (30, 100)).astype(np.float32)
    assert compare_frequencies(values, rng.normal(0.5, 0.04, 100)) == ([], [])
