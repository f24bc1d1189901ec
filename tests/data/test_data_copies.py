"""A column of the genotypes that is the trait is refused by name; a locus that is said to be one is a note."""

import numpy as np
import pytest

from automl_pheno.data import choose_trait, drop_missing, read_dataset
from automl_pheno.data.copies import correlations
from automl_pheno.errors import DataError

N, M = 60, 12
RNG = np.random.default_rng(0)
GENOTYPES = RNG.integers(0, 3, (N, M))
TRAIT = RNG.normal(size=N)


def read(tmp_path, extra, trait=TRAIT, beside=None):
    names = [*(f"rs{number}" for number in range(M)), "rs99"]
    rows = [[f"s{row}", *map(str, GENOTYPES[row]), "" if np.isnan(extra[row]) else repr(float(extra[row]))]
            for row in range(N)]  # fmt: skip
    (tmp_path / "g.csv").write_text("\n".join(",".join(row) for row in [["id", *names], *rows]) + "\n")
    traits = [["id", "yield"], *([f"s{row}", repr(float(trait[row]))] for row in range(N))]
    (tmp_path / "t.csv").write_text("\n".join(",".join(row) for row in traits) + "\n")
    if beside is not None:
        (tmp_path / "g.variants.csv").write_text(beside)
    data = read_dataset(tmp_path / "g.csv", trait_table=tmp_path / "t.csv")
    return drop_missing(data, choose_trait(data, "yield"))


def scaled(values):
    return 2 * (values - values.min()) / np.ptp(values)


COPIES = {
    "affine": scaled(TRAIT),
    "turned round": 2 - scaled(TRAIT),
    "ranks": scaled(np.argsort(np.argsort(TRAIT)).astype(float)),
    "exponential": scaled(np.exp(TRAIT)),
    "half missing": np.where(np.arange(N) % 2, np.nan, scaled(TRAIT)),
    "rounded": scaled(TRAIT).round(4),
}


@pytest.mark.parametrize("name", list(COPIES))
def test_a_copy_of_the_trait_is_refused_by_name_with_the_way_out(tmp_path, name):
    with pytest.raises(DataError, match=r"1 of 13 variants are the trait 'yield' itself .*'rs99'; take them out.*"
                                        r"chromosome and position \(in NAME.variants.csv"):  # fmt: skip
        read(tmp_path, COPIES[name])


def test_a_locus_with_a_place_that_decides_the_trait_is_a_note(tmp_path):
    monogenic = GENOTYPES[:, 3] * 1.5 + 7
    with pytest.raises(DataError, match="'rs3'"):
        read(tmp_path, RNG.integers(0, 3, N).astype(float), monogenic)
    data = read(tmp_path, RNG.integers(0, 3, N).astype(float), monogenic, "id,chr,pos\nrs3,1,1000\n")
    assert any("1 of 13 variants determine yield alone (|r| = 1): 'rs3'" in note for note in data.notes)


def test_a_rare_binary_trait_that_a_variant_meets_by_chance_is_no_copy(tmp_path):
    rare = np.zeros(N)
    rare[5] = 1
    assert len(read(tmp_path, rare, rare)) == N


@pytest.mark.parametrize("seed", range(5))
def test_strong_but_honest_variants_are_no_copies(tmp_path, seed):
    rng = np.random.default_rng(seed)
    major = rng.integers(0, 3, N).astype(float)
    data = read(tmp_path, major, major + 0.1 * rng.normal(size=N))
    assert not any("determine" in note for note in data.notes)


def test_a_variant_called_like_a_column_of_the_trait_table_is_refused(tmp_path):
    (tmp_path / "g.csv").write_text("id,rs1,gloss2\n" + "".join(f"s{row},{row % 3},{row % 2}\n" for row in range(N)))
    (tmp_path / "t.csv").write_text("id,gloss2\n" + "".join(f"s{row},{row * 7 % 11}\n" for row in range(N)))
    data = read_dataset(tmp_path / "g.csv", trait_table=tmp_path / "t.csv")
    with pytest.raises(DataError, match="variant 'gloss2' is called like a trait of these data; take it out of"):
        drop_missing(data, "gloss2")


def test_an_audit_of_a_split_names_the_copy_too(tmp_path):
    from automl_pheno.api.audit import audit_file

    with pytest.raises(DataError, match="'rs99'"):
        read(tmp_path, COPIES["affine"])
    (tmp_path / "split.csv").write_text(
        "id,set\n" + "".join(f"s{row},{'test' if row % 4 == 0 else 'train'}\n" for row in range(N))
    )
    with pytest.raises(DataError, match=r"1 of 13 variants are the trait 'yield' itself .*'rs99'"):
        audit_file(tmp_path / "split.csv", data=tmp_path / "g.csv", trait="yield", trait_table=tmp_path / "t.csv")


def test_correlations_are_those_of_numpy_over_the_calls_that_are_there():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 3, (80, 30)).astype(np.float32)
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 4] = 1
    y = rng.normal(size=80)
    rows = np.arange(10, 80)
    found = correlations(values, rows, y)
    for column in range(30):
        known = rows[~np.isnan(values[rows, column])]
        expected = 0 if column == 4 else np.corrcoef(values[known, column], y[known])[0, 1]
        assert found[column] == pytest.approx(expected, abs=1e-12)
