"""What one format says, the others say: VCF to PLINK to a table of dosages, and back."""

from dataclasses import replace

import numpy as np
import pytest

from automl_pheno.data import Dataset, Inputs, load_dataset, read_dataset, save_dataset
from automl_pheno.data.alleles import harmonise
from automl_pheno.data.export import write_dosages, write_plink, write_vcf
from automl_pheno.errors import DataError
from automl_pheno.simulate.genotypes import simulate_genotypes


@pytest.fixture(scope="module")
def made():
    data, _ = simulate_genotypes(n=37, n_variants=60, n_causal=5, seed=4)
    values = data.inputs.values.copy()
    values[np.random.default_rng(0).random(values.shape) < 0.05] = np.nan
    return replace(data, inputs=replace(data.inputs, values=values))


def same(first: Dataset, second: Dataset) -> None:
    np.testing.assert_array_equal(first.inputs.values, second.inputs.values)
    assert first.ids.tolist() == second.ids.tolist()
    columns = ["id", "chromosome", "position", "ref", "alt"]
    ours, theirs = (data.inputs.variants[columns].astype(str).to_numpy().tolist() for data in (first, second))
    assert ours == theirs


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_vcf_to_plink_to_table_and_back(made, tmp_path, ending):
    write_vcf(made, tmp_path / f"a.vcf{ending}")
    vcf = read_dataset(tmp_path / f"a.vcf{ending}")
    same(vcf, made)
    write_plink(vcf, tmp_path / "b")
    plink = read_dataset(tmp_path / "b")
    same(plink, made)
    write_dosages(plink, tmp_path / f"c.csv{ending}")
    dosages = read_dataset(tmp_path / f"c.csv{ending}")
    same(dosages, made)
    assert len(dosages.files) == 2
    write_vcf(dosages, tmp_path / "d.vcf")
    same(read_dataset(tmp_path / "d.vcf"), made)
    assert vcf.sha256() == plink.sha256() == dosages.sha256()


def test_stated_dosages_survive_where_there_is_room_for_them(made, tmp_path):
    values = made.inputs.values.copy()
    values[3, 7] = 0.3
    data = replace(made, inputs=replace(made.inputs, values=values))
    write_vcf(data, tmp_path / "a.vcf")
    write_dosages(data, tmp_path / "a.csv")
    for name in ("a.vcf", "a.csv"):
        same(read_dataset(tmp_path / name), data)
    with pytest.raises(DataError, match="calls of 0, 1 and 2 alone; sample"):
        write_plink(data, tmp_path / "x")
    assert not (tmp_path / "x.bed").exists()


def test_the_fam_keeps_family_and_trait(made, tmp_path):
    write_plink(made, tmp_path / "b")
    back = read_dataset(tmp_path / "b")
    np.testing.assert_array_equal(back.y("phenotype"), made.y("trait"))
    assert back.columns["family"].tolist() == made.columns["family"].astype(str).tolist()


@pytest.mark.parametrize("swap", [True, False])
def test_a_swapped_or_flipped_file_is_detected_and_put_right(made, tmp_path, swap):
    variants = made.inputs.variants
    rows = np.arange(0, len(variants), 3)
    alleles = variants[["ref", "alt"]].to_numpy(dtype=object).copy()
    values = made.inputs.values.copy()
    if swap:
        alleles[rows] = alleles[rows][:, ::-1]
        values[:, rows] = 2 - values[:, rows]
    else:
        alleles[rows] = [[allele.translate(str.maketrans("ACGT", "TGCA")) for allele in pair] for pair in alleles[rows]]
    stated = variants.assign(ref=alleles[:, 0], alt=alleles[:, 1])
    write_plink(replace(made, inputs=Inputs(kind="genotype", values=values, variants=stated)), tmp_path / "b")
    other = read_dataset(tmp_path / "b")
    assert not np.array_equal(other.inputs.values, made.inputs.values) or not swap
    got, notes = harmonise(other.inputs, variants)
    ambiguous = np.array([{*pair} in ({"A", "T"}, {"C", "G"}) for pair in variants[["ref", "alt"]].to_numpy()])
    told = ~ambiguous if not swap else np.ones(len(variants), dtype=bool)
    np.testing.assert_array_equal(got.values[:, told], made.inputs.values[:, told])
    count = int(told[rows].sum())
    words = "reference and alternate allele swapped" if swap else "named on the other strand"
    assert any(note.startswith(f"{count} of the 60 variants") and words in note for note in notes)


def test_a_dosage_table_takes_its_variants_from_beside_it(made, tmp_path):
    path, beside = write_dosages(made, tmp_path / "c.csv.gz")
    assert beside.name == "c.variants.csv"
    beside.rename(tmp_path / "variants.csv")
    same(read_dataset(path), made)
    (tmp_path / "variants.csv").write_text("id,chromosome\nother,1\n")
    assert (read_dataset(path).inputs.variants["position"] == -1).all()
    beside.write_text("id,chromosome\nother,1\n")
    with pytest.raises(DataError, match=r"c.variants.csv: has none of the variants of"):
        read_dataset(path)
    name = made.inputs.variants["id"].iloc[0]
    beside.write_text(f"id,position\n{name},far\n")
    with pytest.raises(DataError, match=r"c.variants.csv:2: the position .* got 'far'"):
        read_dataset(path)


def test_data_of_every_reader_can_be_stored(made, tmp_path):
    write_plink(made, tmp_path / "b")
    write_vcf(made, tmp_path / "a.vcf")
    (tmp_path / "g.fa").write_text(">chr1\nACGTACGTACGT\n")
    (tmp_path / "p.bed").write_text("chr1\t0\t6\tx\t1\t+\nchr1\t2\t8\ty\t2\t.\n")
    (tmp_path / "t.csv").write_text("id,y,site\nx,1,n\nx,2,n\ny,4,s\n")
    for data in (
        read_dataset(tmp_path / "b"),
        read_dataset(tmp_path / "a.vcf"),
        read_dataset(tmp_path / "p.bed", genome=tmp_path / "g.fa", trait_table=tmp_path / "t.csv"),
    ):
        save_dataset(data, tmp_path / "stored.npz")
        stored = load_dataset(tmp_path / "stored.npz")
        assert stored.sha256() == data.sha256()
        assert stored.columns.equals(data.columns)
        assert list(stored.files) == list(data.files)


def test_what_a_format_cannot_say_is_refused(made, tmp_path):
    nowhere = replace(made, inputs=replace(made.inputs, variants=made.inputs.variants.assign(position=-1)))
    with pytest.raises(DataError, match="lacks one"):
        write_vcf(nowhere, tmp_path / "x.vcf")
    blank = replace(made, ids=np.array([f"a {name}" for name in made.ids]))
    with pytest.raises(DataError, match="no blanks"):
        write_plink(blank, tmp_path / "x")
    sequences = replace(made, inputs=Inputs(kind="sequence", values=np.ones((37, 9), dtype=np.uint8)))
    with pytest.raises(DataError, match="not genotypes"):
        write_dosages(sequences, tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.data
def test_real_files_go_round(data_folder, tmp_path):
    maize = read_dataset(data_folder / "maize_mdp" / "maize_mdp.vcf.gz")
    write_plink(maize, tmp_path / "maize")
    plink = read_dataset(tmp_path / "maize")
    same(plink, maize)
    write_vcf(plink, tmp_path / "back.vcf.gz")
    same(read_dataset(tmp_path / "back.vcf.gz"), maize)
