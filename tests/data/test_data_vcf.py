import gzip
import subprocess
import sys

import numpy as np
import pytest

from automl_pheno.data import read_dataset
from automl_pheno.data.read import ReadOptions
from automl_pheno.data.source import Source
from automl_pheno.data.vcf import open_cyvcf2, open_text, read_sites
from automl_pheno.errors import DataError, UnknownNameError

HEADER = (
    "##fileformat=VCFv4.2\n"
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
    '##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">\n'
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    '##FILTER=<ID=q10,Description="Low quality">\n##contig=<ID=1>\n##contig=<ID=X>\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\n"
)


def site(calls, *, place="1:10", name="rs1", alleles="A>G", key="GT", passed="."):
    chromosome, position = place.split(":")
    ref, alt = alleles.split(">", 1)
    return "\t".join((chromosome, position, name, ref, alt, ".", passed, ".", key, *calls.split())) + "\n"


MANY = HEADER + "".join(
    (
        site("0/0 0|1 1/1", name="phased"),
        site("./1 . ./.", place="1:20", name="half"),
        site("0/1:7 1/1:. ./.:3", place="1:30", name=".", key="GT:DP"),
        site("7:0/1 1:1/1 2:0/0", place="1:40", name="second", key="DP:GT"),
        site("1/2 0/2 0/1", place="1:50", name="rs2", alleles="C>T,G"),
        site("2/2 0/12 1/11", place="1:55", name="many", alleles="C>" + ",".join("C" + "A" * i for i in range(1, 13))),
        site("0/1 1/2 0/0", place="1:60", name="star", alleles="C>T,*"),
        site("0/1 1/1 0/0", place="1:70", name="deletion", alleles="C><DEL>", passed="q10"),
        site("0/0 0/0 0/0", place="1:80", name="alike", alleles="C>."),
        site("1 0/1 0", place="X:10", name="male", alleles="T>C"),
        site("1 0 1", place="X:11", name="males", alleles="T>C"),
    )
)


@pytest.fixture
def write(tmp_path):
    def make(text, name="calls.vcf"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def column(data, name):
    place = data.inputs.variants["id"].tolist().index(name)
    return data.inputs.values[:, place].tolist()


def test_calls_of_every_kind_become_dosages(write):
    data = read_dataset(write(MANY))
    assert data.ids.tolist() == ["a", "b", "c"]
    assert column(data, "phased") == [0, 1, 2]
    assert np.isnan(column(data, "half")).all()
    assert column(data, "1:30:A:G")[:2] == [1, 2]
    assert column(data, "second") == [1, 2, 0]
    assert column(data, "rs2_T") == [1, 0, 1]
    assert column(data, "rs2_G") == [1, 1, 0]
    assert column(data, "many_CAA") == [2, 0, 0]
    assert column(data, "many_CAAAAAAAAAAAA") == [0, 1, 0]
    assert column(data, "star") == [1, 1, 0]
    assert column(data, "deletion") == [1, 2, 0]
    assert column(data, "male") == [2, 1, 0]
    assert column(data, "males") == [2, 0, 2]
    assert "alike" not in data.inputs.variants["id"].tolist()
    assert data.inputs.values.dtype == np.float32
    row = data.inputs.variants.set_index("id").loc["rs2_G"]
    assert row.tolist() == ["1", 50, "C", "G"]
    notes = "\n".join(data.notes)
    assert "2 of 11 sites have several alternate alleles; each allele is a variant of its own" in notes
    assert "1 of 11 sites have no alternate allele" in notes
    assert "1 of 11 sites have a symbolic" in notes
    assert "1 of 11 sites did not pass" in notes
    assert "5 calls are haploid and count as 0 or 2" in notes
    assert "1 calls are half missing" in notes
    assert "1 variants without an id" in notes


def test_multi_allelic_sites_are_skipped_by_choice(write):
    data = read_dataset(write(MANY), multiallelic="skip")
    assert not any(name.startswith("rs2") for name in data.inputs.variants["id"])
    assert any("2 of 11 sites have several alternate alleles and are skipped" in note for note in data.notes)
    with pytest.raises(UnknownNameError, match="did you mean 'split'"):
        read_dataset(write(MANY), multiallelic="splitt")


def test_stated_dosages_are_taken_where_all_sites_have_them(write):
    first = site("0/1:0.9 1/1:1.75 ./.:.", key="GT:DS")
    data = read_dataset(write(HEADER + first + site("0.5,1 0,0 .", place="1:20", name="x", alleles="A>G,T", key="DS")))
    assert column(data, "rs1")[:2] == [np.float32(0.9), 1.75]
    assert np.isnan(column(data, "rs1")[2])
    assert column(data, "x_T")[:2] == [1, 0]
    assert any("(DS)" in note for note in data.notes)
    mixed = HEADER + first + site("0/1 1/1 0/0", place="1:20", name="rs2")
    assert column(read_dataset(write(mixed)), "rs1")[:2] == [1, 2]
    assert column(read_dataset(write(HEADER + first), genotype_field="GT"), "rs1")[:2] == [1, 2]
    with pytest.raises(DataError, match=r"calls.vcf:10: 1:20 has no DS \(FORMAT is GT\)"):
        read_dataset(write(mixed), genotype_field="DS")


def test_where_a_dosage_is_not_stated_the_call_counts(write):
    rows = site("0/1:. 1/1:1.75 ./.:.", key="GT:DS") + site("1:. 0/1:0.9 0:0.1", place="X:5", name="rs2", key="GT:DS")
    data = read_dataset(write(HEADER + rows))
    np.testing.assert_array_equal(column(data, "rs1"), [1, 1.75, np.nan])
    np.testing.assert_allclose(column(data, "rs2"), [2, 0.9, 0.2], rtol=1e-6)
    assert any(
        "3 dosages are those stated by the file (DS)" in note and ", 2 are counted" in note for note in data.notes
    )
    two = site("0/2:.,. 1/1:1.5,0.25 ./.:.,.", key="GT:DS", alleles="A>G,T")
    data = read_dataset(write(HEADER + two))
    np.testing.assert_array_equal(column(data, "rs1_G"), [0, 1.5, np.nan])
    np.testing.assert_array_equal(column(data, "rs1_T"), [1, 0.25, np.nan])


def test_stated_dosages_that_are_empty_everywhere_are_counted_and_said(write):
    text = HEADER + site("0/1:. 1/1:. 0/0:.", key="GT:DS") + site("0/1 1/1 0/0", place="1:20", name="x", key="GT:DS")
    data = read_dataset(write(text))
    assert column(data, "rs1") == [1, 2, 0] == column(data, "x")
    assert any("DS is empty everywhere: dosages are counted from the calls (GT)" in note for note in data.notes)
    with pytest.raises(DataError, match=r"DS is empty everywhere; count the calls instead \(--genotype-field GT\)"):
        read_dataset(write(text), genotype_field="DS")
    mixed = text + site("0.5 1 .", place="1:30", name="y", key="DS") + site("0/1 0/0 1/1", place="1:40", name="z")
    data = read_dataset(write(mixed))
    np.testing.assert_array_equal(column(data, "y"), [0.5, 1, np.nan])
    assert column(data, "z") == [1, 0, 2]


@pytest.mark.parametrize(("cells", "key"), [("./. ./. .", "GT"), (". . .", "DS"), ("./.:. .:. ./.:.", "GT:DS")])
def test_a_file_without_any_call_is_refused(write, cells, key):
    with pytest.raises(DataError, match=r"no call is there: every GT is missing|DS is empty everywhere"):
        read_dataset(write(HEADER + site(cells, key=key)))


def test_probabilities_alone_are_refused_with_the_way_to_dosages(write):
    with pytest.raises(DataError, match=r"has no GT and no DS \(FORMAT is GP\); probabilities are not read.*plink2"):
        read_dataset(write(HEADER + site("0,1,0 1,0,0 0,0,1", key="GP")))


@pytest.mark.parametrize("change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")], ids=["BOM", "CRLF"])
def test_a_byte_order_mark_and_ends_of_windows_change_nothing(write, change):
    text = HEADER + site("0/1 1/1 0/0") + site("0/1:1 1/1:2 0/0:0", place="1:20", name="x", key="GT:DS")
    plain, other = read_dataset(write(text, "a.vcf")), read_dataset(write(change(text), "b.vcf"))
    np.testing.assert_array_equal(plain.inputs.values, other.inputs.values)
    assert plain.ids.tolist() == other.ids.tolist()
    assert plain.inputs.variants.equals(other.inputs.variants)


@pytest.mark.parametrize("name", ["NA", "None", "nan", "null", "NaN"])
def test_a_sample_may_be_called_as_missing_values_are(write, name):
    assert name in read_dataset(write(HEADER.replace("\ta\t", f"\t{name}\t") + site("0/1 1/1 0/0"))).ids.tolist()


def test_numbers_of_any_form_and_place_are_read_as_python_reads_them(write):
    texts = ["0", "1", "2.0", "1e-3", "1.25E0", "0.333333333333", ".5", "."]
    rng = np.random.default_rng(0)
    rows, expected = [], []
    for number, key in enumerate(["DS", "GT:DS", "GT:DP:DS", "DP:DS:GT"]):
        for step in range(6):
            drawn = rng.choice(texts, 3)
            cells = [":".join({"DS": text, "GT": "0/1", "DP": "17"}[name] for name in key.split(":")) for text in drawn]
            if key.endswith("DS") and step == 0 and number:
                cells[1], drawn[1] = "0/0", "."  # fields at the end may be left out
            rows.append(site(" ".join(cells), place=f"1:{len(rows) + 1}", name=f"v{len(rows)}", key=key))
            expected.append([np.nan if text == "." else float(text) for text in drawn])
    data = read_dataset(write(HEADER + "".join(rows)), genotype_field="DS")
    np.testing.assert_array_equal(data.inputs.values, np.array(expected, dtype=np.float32).T)


def test_stated_dosages_of_haploid_samples_run_to_1(write):
    data = read_dataset(write(HEADER + site("1:0.9 0/1:0.9 0:0.1", key="GT:DS")))
    np.testing.assert_allclose(column(data, "rs1"), [1.8, 0.9, 0.2], rtol=1e-6)


def test_polyploid_calls_are_shares_of_alternate_alleles(write):
    data = read_dataset(write(HEADER + site("0/0/0/1 0/1/1/1 1/1/1/1")))
    assert column(data, "rs1") == [0.5, 1.5, 2]
    assert any("calls have 4 alleles" in note for note in data.notes)


def test_ids_that_alleles_of_one_site_share_are_told_apart(write):
    text = HEADER + site("0/0 0/1 1/1") + site("0/0 0/1 1/1", alleles="A>T") + site("0/0 0/1 1/1", place="1:99")
    data = read_dataset(write(text))
    assert data.inputs.variants["id"].tolist() == ["1:10:A:G", "rs1_T", "1:99:A:G"]
    assert any("3 variants shared their ids" in note for note in data.notes)


@pytest.mark.parametrize("pack", [gzip.compress, lambda text: gzip.compress(text[:300]) + gzip.compress(text[300:])])
def test_gzip_in_one_or_many_members(write, pack):
    packed = read_dataset(write(pack(MANY.encode()), "calls.vcf.gz"))
    assert packed.sha256() == read_dataset(write(MANY)).sha256()


def test_samples_without_a_trait_are_not_kept(write, tmp_path):
    traits = tmp_path / "t.csv"
    traits.write_text("id,y\nc,3\na,1\n")
    data = read_dataset(write(MANY), trait_table=traits)
    assert data.ids.tolist() == ["a", "c"]
    assert column(data, "phased") == [0, 2]
    assert data.y("y").tolist() == [1, 3]
    assert any("1 of 3 samples" in note and "'b'" in note for note in data.notes)


OPTIONS = ReadOptions(delimiter="\t", sequence_column=None, id_column=None, missing=frozenset(), has_trait_table=False)


def both(path, field="auto"):
    from dataclasses import replace

    options = replace(OPTIONS, genotype_field=field)
    source = Source(path)
    return [read_sites(opener(source), source, options) for opener in (open_text, open_cyvcf2)]


def same(first, second):
    np.testing.assert_array_equal(first.inputs.values, second.inputs.values)
    assert first.inputs.variants.equals(second.inputs.variants)
    assert first.ids.tolist() == second.ids.tolist()
    assert first.notes == second.notes


@pytest.mark.parametrize("field", ["auto", "GT"])
def test_plain_python_and_cyvcf2_read_the_same(write, field):
    pytest.importorskip("cyvcf2")
    same(*both(write(MANY), field))


def test_plain_python_and_cyvcf2_read_the_same_dosages(write):
    pytest.importorskip("cyvcf2")
    text = site("0/1:0.9,0.1 1/1:1.75,0 ./.:.", key="GT:DS", alleles="A>G,T")
    same(*both(write(HEADER + text + site("1:0.3 0/0:0.123456 0:.", place="X:1", key="GT:DS"))))


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("maize_mdp/maize_mdp.vcf.gz", "auto"),
        ("vcf_1kg/1kg_phase3_chr21_start.vcf.gz", "auto"),
        ("vcf_1kg/1kg_phase1_chr22.small.vcf.gz", "auto"),
        ("vcf_1kg/1kg_phase1_chr22.small.vcf.gz", "GT"),
    ],
)
def test_real_files_are_the_same_both_ways(data_folder, name, field):
    pytest.importorskip("cyvcf2")
    same(*both(data_folder / name, field))


@pytest.mark.data
def test_maize_is_as_its_readme_says(data_folder):
    folder = data_folder / "maize_mdp"
    data = read_dataset(folder / "maize_mdp.vcf.gz", trait_table=folder / "phenotypes.csv")
    assert data.inputs.values.shape == (279, 3093)
    everyone = read_dataset(folder / "maize_mdp.vcf.gz").inputs.values
    assert everyone.shape == (281, 3093)
    assert np.isnan(everyone).mean() == pytest.approx(0.039, abs=5e-4)
    assert (everyone == 1).mean() == pytest.approx(0.011, abs=5e-4)
    assert (np.nanmax(everyone, axis=0) == np.nanmin(everyone, axis=0)).sum() == 186
    phase1 = read_dataset(data_folder / "vcf_1kg" / "1kg_phase1_chr22.small.vcf.gz")
    assert phase1.inputs.values.shape == (1092, 101)
    assert np.isfinite(phase1.inputs.values).all()


def test_bcf_is_read_through_cyvcf2(write, tmp_path):
    cyvcf2 = pytest.importorskip("cyvcf2")
    plain = write(MANY)
    source = cyvcf2.VCF(str(plain))
    path = tmp_path / "calls.bcf"
    writer = cyvcf2.Writer(str(path), source, mode="wb")
    for variant in source:
        writer.write_record(variant)
    writer.close()
    source.close()
    assert read_dataset(path).sha256() == read_dataset(plain).sha256()
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"calls\.bcf: .*truncated"):
        read_dataset(path)


def test_bcf_without_cyvcf2_says_what_to_install(write):

    path = write(gzip.compress(b"BCF\2\2\0" + b"\0" * 50), "x.bcf")
    code = (
        "import sys; sys.modules['cyvcf2'] = None\nfrom automl_pheno.data import read_dataset\n"
        f"try: read_dataset({str(path)!r})\nexcept ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'automl-pheno[vcf]'" in done.stdout


BAD = {
    "no calls": (HEADER + site("7 8 9", key="DP"), "calls.vcf:9: 1:10 has no GT"),
    "sites only": (HEADER.replace("\tFORMAT\ta\tb\tc", ""), "calls.vcf:8: no samples"),
    "no sites": (HEADER, "only a header and no sites"),
    "no header": (site("0/0 0/1 1/1"), "no line that begins with #CHROM"),
    "header with blanks": (HEADER.replace("\t", " "), "is not a VCF with calls"),
    "duplicated sample": (HEADER.replace("\tb\tc", "\tb\tb"), "calls.vcf:8: two samples have the id 'b'"),
    "too few columns": (HEADER + site("0/0 0/1"), "calls.vcf:9: expected 12 columns .* got 11"),
    "too many columns": (HEADER + site("0/0 0/1 1/1 1/1"), "calls.vcf:9: expected 12 columns .* got 13"),
    "bad call": (HEADER + site("0/0 0/1 0|x"), "calls.vcf:9: sample 'c': a call is allele numbers .* got '0|x'"),
    "empty call": (HEADER + site("0/0 0/1 x").replace("\tx\n", "\t\n"), "calls.vcf:9: sample 'c': .* got ''"),
    "allele beyond": (HEADER + site("0/0 0/3 1/1"), "calls.vcf:9: sample 'b' has allele number 3"),
    "bad position": (HEADER + site("0/0 0/1 1/1", place="1:x"), "calls.vcf:9: the position .* got 'x'"),
    "no reference": (HEADER + site("0/0 0/1 1/1", alleles=".>G"), "calls.vcf:9: chromosome and reference"),
    "unsorted": (HEADER + site("0/0 0/1 1/1") + site("0/0 0/1 1/1", place="1:9", name="x"),
                 "calls.vcf:10: 1:9 stands after 1:10; sort the file"),
    "chromosome in pieces": (HEADER + site("0/0 0/1 1/1") + site("0/0 0/1 1/1", place="X:9", name="x")
                             + site("0/0 0/1 1/1", place="1:19", name="y"), "calls.vcf:11: chromosome '1' begins"),
    "duplicated variant": (HEADER + site("0/0 0/1 1/1") * 2, "calls.vcf:10: variant 'rs1' .* is already at .*:9"),
    "duplicated without id": (HEADER + site("0/0 0/1 1/1", name=".") * 2, "calls.vcf:10: variant .* already at .*:9"),
    "mixed ploidy": (HEADER + site("0/0 0/1/1 1/1"), "calls.vcf:9: mixed ploidy: sample 'a' has 2 .* 'b' has 3"),
    "haploid among tetraploid": (HEADER + site("0/0/0/1 1 0/0/0/0"), "calls.vcf:9: mixed ploidy"),
    "ploidy changes": (HEADER + site("0/0 0/1 1/1") + site("0/0/1 0/1/1 1/1/0", place="1:11", name="x"),
                       "calls.vcf:10: mixed ploidy: calls have 3 alleles, .* 2"),
    "dosage above 2": (HEADER + site("0.1 2.5 .", key="DS"), "calls.vcf:9: sample 'b': a dosage must be .* got 2.5"),
    "dosage is a word": (HEADER + site("0.1 high .", key="DS"), "calls.vcf:9: sample 'b': DS 'high' is not a number"),
    "one dosage, two alleles": (HEADER + site("0.1 0.2 0", key="DS", alleles="A>G,T"), "DS has 1 value"),
    "cut off": ((HEADER + site("0/0 0/1 1/1"))[:-6], "calls.vcf:9: expected 12 columns .* got 11"),
    "cut gzip": (gzip.compress((HEADER + site("0/0 0/1 1/1")).encode())[:-20], "truncated or damaged"),
    "cut bgzip": (b"\x1f\x8b\x08\x04" + b"\0" * 6 + b"\6\0BC\2\0" + b"\0" * 60, "truncated"),
    "empty": ("", "the file is empty"),
    "nothing left": (HEADER + site("0/0 0/1 1/1", alleles="A>*"), "none of its 1 sites gives a variant"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_vcf_is_refused_with_the_place(write, case):
    text, message = BAD[case]
    with pytest.raises(DataError, match=message.replace("|", r"\|")):
        read_dataset(write(text))
