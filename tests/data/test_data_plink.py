import numpy as np
import pytest

from automl_pheno.data import read_dataset
from automl_pheno.data.plink import read_bed
from automl_pheno.errors import DataError

# PLINK's own example (file format page): 6 samples x 3 variants
BED = bytes.fromhex("6c1b01dc0fe70f6b01")
BIM = "1 snp1 0 1 G A\n1 snp2 0 2 1 2\n1 snp3 0 3 A C\n"
FAM = "1 a 0 0 1 1.5\n1 b 0 0 2 -9\n1 c 0 0 0 2.5\n2 d 0 0 1 NA\n2 e 0 0 2 1\n2 f 0 0 1 7\n"


@pytest.fixture
def plink(tmp_path):
    def make(bed=BED, bim=BIM, fam=FAM):
        (tmp_path / "x.bed").write_bytes(bed)
        (tmp_path / "x.bim").write_text(bim)
        (tmp_path / "x.fam").write_text(fam)
        return tmp_path / "x.bed"

    return make


def decoded(n, n_variants, raw):
    """Decode a .bed as its format page says: 2 bits a call from the low end; 00 is allele 1 twice, 01 missing."""
    calls = {0b00: 2.0, 0b01: np.nan, 0b10: 1.0, 0b11: 0.0}
    size = -(-n // 4)
    rows = [raw[3 + i * size : 3 + (i + 1) * size] for i in range(n_variants)]
    return np.array([[calls[row[j // 4] >> 2 * (j % 4) & 3] for row in rows] for j in range(n)], dtype=np.float32)


@pytest.mark.parametrize("name", ["x", "x.bed", "x.bim", "x.fam"])
def test_any_of_the_names_is_understood(plink, name):
    path = plink().with_name(name)
    data = read_dataset(path)
    np.testing.assert_array_equal(data.inputs.values, decoded(6, 3, BED))
    assert data.name == "x"
    assert data.ids.tolist() == list("abcdef")
    assert len(data.files) == 3
    assert data.inputs.variants.iloc[0].tolist() == ["snp1", "1", 1, "A", "G"]


def test_the_fam_gives_phenotype_family_and_sex(plink):
    data = read_dataset(plink())
    np.testing.assert_array_equal(data.y("phenotype"), [1.5, np.nan, 2.5, np.nan, 1, 7])
    assert data.columns["family"].tolist() == ["1", "1", "1", "2", "2", "2"]
    assert data.columns["sex"].tolist() == ["male", "female", None, "male", "female", "male"]
    assert list(data.traits) == ["phenotype"]
    assert any("allele 1" in note for note in data.notes)


def test_families_that_do_not_repeat_and_constant_phenotypes_say_nothing(plink):
    data = read_dataset(plink(fam="".join(f"{name} {name} 0 0 0 -9\n" for name in "abcdef")))
    assert list(data.columns) == []
    assert list(data.traits) == []
    data = read_dataset(plink(fam="".join(f"0 {name} 0 0 0 3\n" for name in "abcdef")))
    assert list(data.columns) == []
    assert any("states no phenotype" in note for note in data.notes)


def test_case_and_control_follow_plink(plink):
    data = read_dataset(plink(fam="".join(f"0 {name} 0 0 0 {i % 3}\n" for i, name in enumerate("abcdef"))))
    np.testing.assert_array_equal(data.y("phenotype"), [np.nan, 1, 2, np.nan, 1, 2])
    assert any("case/control" in note for note in data.notes)


def test_individual_ids_that_repeat_are_joined_with_the_family(plink, tmp_path):
    path = plink(fam=FAM.replace("2 d", "2 a"))
    data = read_dataset(path)
    assert data.ids.tolist()[3] == "2_a"
    traits = tmp_path / "t.txt"
    traits.write_text("FID IID height\n2 a 3.5\n1 a -9\n1 c 2\n")
    joined = read_dataset(path, trait_table=traits)
    assert joined.ids.tolist() == ["1_a", "1_c", "2_a"]
    np.testing.assert_array_equal(joined.y("height"), [np.nan, 2, 3.5])
    np.testing.assert_array_equal(joined.inputs.values, decoded(6, 3, BED)[[0, 2, 3]])
    assert any("1 cells are -9" in note for note in joined.notes)


def test_only_what_is_asked_for_is_read(plink, tmp_path, monkeypatch):
    import bed_reader

    asked = []
    read = bed_reader.open_bed.read

    def spy(self, index=None, **rest):
        asked.append(index[0].tolist())
        return read(self, index=index, **rest)

    monkeypatch.setattr(bed_reader.open_bed, "read", spy)
    traits = tmp_path / "t.csv"
    traits.write_text("id,y\nc,3\ne,1\n")
    data = read_dataset(plink(), trait_table=traits)
    assert data.ids.tolist() == ["c", "e"]
    np.testing.assert_array_equal(data.inputs.values, decoded(6, 3, BED)[[2, 4]])
    assert asked == [[2, 4]]
    assert any("4 of 6 samples" in note for note in data.notes)
    some = read_bed(tmp_path / "x.bed", n_samples=6, n_variants=3, samples=np.array([5, 0]), variants=slice(1, 3))
    np.testing.assert_array_equal(some, decoded(6, 3, BED)[[5, 0], 1:])


def test_many_blocks_are_read_alike(tmp_path, monkeypatch):
    from automl_pheno.data import variants

    monkeypatch.setattr(variants, "_BLOCK_BYTES", 64)
    rng = np.random.default_rng(0)
    raw = b"\x6c\x1b\x01" + rng.bytes(3 * 50)
    path = tmp_path / "x.bed"
    path.write_bytes(raw)
    values = read_bed(path, n_samples=11, n_variants=50)
    np.testing.assert_array_equal(values, decoded(11, 50, raw))


def test_variants_without_a_name_or_with_one_in_common_get_one(plink):
    data = read_dataset(plink(bim="1 . 0 1 G A\n1 rs 0 2 T C\n1 rs 0 2 G C\n"))
    assert data.inputs.variants["id"].tolist() == ["1:1:A:G", "rs_T", "rs_G"]
    data = read_dataset(plink(bim="0 s1 0 0 0 A\n0 s2 0 0 T C\n0 s3 0 0 G C\n"))
    assert data.inputs.variants.iloc[0].tolist() == ["s1", "", -1, "A", ""]


BAD = {
    "cut bed": ({"bed": BED[:-1]}, "x.bed: is truncated .* 6 samples x 3 variants take 9 bytes, got 8"),
    "long bed": ({"bed": BED + b"\0"}, "x.bed: belongs to other .bim and .fam"),
    "short bim": ({"bim": BIM.replace("1 snp3 0 3 A C\n", "")}, "x.bed: belongs to other"),
    "long fam": ({"fam": FAM + "3 g 0 0 1 2\n3 h 0 0 1 2\n3 i 0 0 1 2\n"}, "9 samples x 3 variants"),
    "sample-major": ({"bed": b"\x6c\x1b\x00" + BED[3:]}, "samples one after another"),
    "pgen": ({"bed": b"\x6c\x1b\x10" + BED[3:]}, "another format"),
    "empty bed": ({"bed": b""}, "x.bed: the file is empty"),
    "magic alone": ({"bed": b"\x6c"}, "intervals need"),
    "empty bim": ({"bim": ""}, "x.bim: the file is empty"),
    "empty fam": ({"fam": ""}, "x.fam: the file is empty"),
    "five columns": ({"fam": FAM.replace("1 b 0 0 2 -9", "1 b 0 0 2")}, "x.fam:2: expected 6 columns .* got 5"),
    "bim columns": ({"bim": BIM.replace("1 snp2 0 2 1 2", "1 snp2 2 1 2")}, "x.bim:2: expected 6 columns"),
    "bad position": ({"bim": BIM.replace("0 2", "0 -2")}, "x.bim:2: the position .* got '-2'"),
    "unsorted": ({"bim": BIM.replace("0 3", "0 1")}, "x.bim:3: 1:1 stands after 1:2; sort the files"),
    "pieces": ({"bim": BIM.replace("1 snp2", "2 snp2")}, "x.bim:3: chromosome '1' begins again"),
    "variant twice": ({"bim": "1 a 0 1 G A\n1 a 0 1 G A\n1 b 0 2 G A\n"}, "x.bim:2: variant 'a' .* at .*x.bim:1"),
    "sample twice": ({"fam": FAM.replace("1 b", "1 a")}, "x.fam:2: sample 1 a is already in line 1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_plink_is_refused_with_the_place(plink, case):
    changes, message = BAD[case]
    with pytest.raises(DataError, match=message):
        read_dataset(plink(**changes))


@pytest.mark.parametrize("name", ["x.bed", "x.bim", "x.fam"])
def test_a_missing_file_is_named(plink, name):
    path = plink()
    path.with_name(name).unlink()
    with pytest.raises(DataError, match=rf"{name}: no such file"):
        read_dataset(path.with_name("x.fam" if name != "x.fam" else "x.bim"))


def test_a_phenotype_that_is_no_number_is_named_when_asked_for(plink):
    data = read_dataset(plink(fam=FAM.replace("1.5", "tall")))
    with pytest.raises(DataError, match=r"trait 'phenotype' is not numeric: .*x.fam:1: 'tall'"):
        data.y("phenotype")


@pytest.mark.data
def test_mice_and_toy_are_as_their_readmes_say(data_folder):
    mice = read_dataset(data_folder / "bglr_mice" / "mice", trait_table=data_folder / "bglr_mice/phenotypes.csv.gz")
    assert mice.inputs.values.shape == (1814, 10346)
    assert np.isfinite(mice.inputs.values).all()
    autosomal = mice.inputs.variants["chromosome"].str.isdecimal().to_numpy()
    assert autosomal.sum() == 10074
    assert (mice.inputs.values[:, autosomal] == 1).mean() == pytest.approx(0.367, abs=5e-4)
    assert mice.columns["family"].nunique() == 169
    assert (mice.columns["family"] == mice.columns["full_sib_family"]).all()
    assert np.nanmean(mice.y("Obesity.EndNormalBW")) == pytest.approx(24.0, abs=0.05)
    own = read_dataset(data_folder / "bglr_mice" / "mice.fam")
    np.testing.assert_allclose(own.y("phenotype"), mice.y("Obesity.EndNormalBW"))
    toy = read_dataset(data_folder / "fastlmm_toy/toydata.5chrom", trait_table=data_folder / "fastlmm_toy/toydata.phe")
    assert toy.inputs.values.shape == (500, 10000)
    assert (toy.inputs.values == 1).mean() == pytest.approx(0.366, abs=5e-4)
    assert toy.y("phenotype").mean() == pytest.approx(0.002, abs=5e-4)
    assert toy.y("phenotype").std() == pytest.approx(0.97, abs=5e-3)
