"""Letters of a few samples are read as in the whole file: the counted allele does not depend on who is in the file."""

import numpy as np
import pytest

from automl_pheno.data import read_dataset
from automl_pheno.data.alleles import harmonise
from automl_pheno.data.export import write_dosages
from automl_pheno.errors import DataError

PAIRS = ("AG", "CT", "AC", "GT", "AG", "CT")


def table(path, rows, header=None):
    names = header or [f"rs{number}" for number in range(len(rows[0]))]
    path.write_text(
        "\n".join(",".join(line) for line in [["id", *names], *([f"s{i}", *row] for i, row in enumerate(rows))]) + "\n"
    )
    return path


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("form", ["letters", "IUPAC"])
def test_dosages_of_some_samples_agree_with_those_of_all(tmp_path, seed, form):
    rng = np.random.default_rng(seed)
    codes = {"AG": "R", "CT": "Y", "AC": "M", "GT": "K"}
    values = rng.binomial(2, 0.4, (40, len(PAIRS)))
    cells = [
        [(pair[0] * 2, pair, pair[1] * 2)[value] for value, pair in zip(row, PAIRS, strict=True)] for row in values
    ]
    if form == "IUPAC":
        cells = [[codes.get(cell, cell[0]) for cell in row] for row in cells]
    every = read_dataset(table(tmp_path / "all.csv", cells))
    for some in ([0], [1, 2], [3, 4, 5, 6]):
        few = read_dataset(table(tmp_path / "few.csv", [cells[row] for row in some]))
        agreed, _ = harmonise(few.inputs, every.inputs.variants)
        np.testing.assert_array_equal(agreed.values, every.inputs.values[some])


def test_letters_go_out_as_dosages_and_come_back_with_their_alleles(tmp_path):
    rng = np.random.default_rng(9)
    data = read_dataset(
        table(tmp_path / "l.csv", [[("AA", "AG", "GG")[v] for v in row] for row in rng.integers(0, 3, (9, 5))])
    )
    path, _ = write_dosages(data, tmp_path / "out.csv")
    back = read_dataset(path)
    np.testing.assert_array_equal(back.inputs.values, data.inputs.values)
    assert back.inputs.variants.equals(data.inputs.variants)


def test_a_few_variants_of_any_name_come_back_since_their_list_lies_beside(tmp_path):
    data = read_dataset(table(tmp_path / "l.csv", [["0", "1"], ["1", "2"], ["2", "0"]], ["rs1", "rs2"]))
    renamed = data.inputs.variants.assign(id=["left", "right"])
    from dataclasses import replace

    path, _ = write_dosages(replace(data, inputs=replace(data.inputs, variants=renamed)), tmp_path / "out.csv")
    assert read_dataset(path).inputs.variants["id"].tolist() == ["left", "right"]


def test_a_ploidy_that_contradicts_the_file_is_refused(tmp_path):
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\n"
    path = tmp_path / "x.vcf"
    path.write_text(header + "1\t5\trs1\tA\tG\t.\t.\t.\tGT\t0/1\t1/1\n")
    with pytest.raises(DataError, match=r"calls have 2 alleles, not 4 as stated \(--ploidy\)"):
        read_dataset(path, ploidy=4)
    path.write_text(header + "1\t5\trs1\tA\tG\t.\t.\t.\tDS\t3\t4\n")
    np.testing.assert_array_equal(read_dataset(path, ploidy=4).inputs.values, [[1.5], [2]])
    (tmp_path / "x.fa").write_text(">a\nACGTAC\n>b\nACGTAA\n")
    with pytest.raises(DataError, match="a ploidy is for tables of genotypes and VCF, but this is of format fasta"):
        read_dataset(tmp_path / "x.fa", ploidy=4)
