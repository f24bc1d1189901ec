"""Missing values written as numbers: missing in the tables of PLINK, refused elsewhere, and said with --missing."""

import numpy as np
import pytest

import automl_pheno as ap
from automl_pheno.cli.app import main
from automl_pheno.data import read_dataset
from automl_pheno.data.curate import choose_trait
from automl_pheno.data.options import Missing
from automl_pheno.data.sentinels import sentinels
from automl_pheno.errors import DataError, SplitError
from automl_pheno.splits import SplitConfig
from automl_pheno.splits.groups import make_groups
from automl_pheno.splits.own import own_folds

N = 60
IDS = [f"BC_{number}" for number in range(1, N + 1)]
RNG = np.random.default_rng(0)
Y = np.round(RNG.normal(7, 1, N), 2)
SEQUENCES = ["".join(RNG.choice(list("ACGT"), 30)) for _ in IDS]


def lines_of(header, ids, values):
    return header + "\n" + "".join(f"{name}{value}\n" for name, value in zip(ids, values, strict=True))


@pytest.fixture
def join(tmp_path):
    (tmp_path / "s.fa").write_text("".join(f">{name}\n{bases}\n" for name, bases in zip(IDS, SEQUENCES, strict=True)))

    def make(table, name="t.csv", **options):
        (tmp_path / name).write_text(table)
        return read_dataset(tmp_path / "s.fa", trait_table=tmp_path / name, **options)

    return make


def with_missing(*cells):
    return [f",{cell}" for cell in (*cells, *Y[len(cells) :])]


@pytest.mark.parametrize("cell", ["-9", "-9.0", "-9.000", "-9e0", "-99", "-999", "-9999", "9999", "999", "99"])
@pytest.mark.parametrize("count", [1, 7])
def test_a_number_for_no_value_stops_with_its_count_place_and_two_ways_out(join, cell, count):
    data = join(lines_of("IID,yield", IDS, with_missing(*[cell] * count)))
    with pytest.raises(DataError) as caught:
        data.y("yield")
    number = f"{float(cell):g}"
    message = str(caught.value)
    assert f"trait 'yield' is {number} ({count} of 60 rows), first at " in message
    assert "t.csv:2, while the other values lie from " in message
    assert f"--missing {number})" in message
    assert f"--missing value:{number})" in message


@pytest.mark.parametrize("form", ["IID,yield", "id,yield"])
def test_either_way_out_is_taken(join, form):
    table = lines_of(form, IDS, with_missing("-9", "-9.0"))
    assert np.isnan(join(table, missing="-9").y("yield")[:2]).all()
    assert join(table, missing="value:-9").y("yield")[:2].tolist() == [-9, -9]


def test_it_is_refused_before_replicates_are_averaged(join):
    data = join(lines_of("id,yield", [*IDS, *IDS], with_missing("-9") + [f",{value}" for value in Y]))
    with pytest.raises(DataError, match=r"is -9 \(1 of 120 rows\)"):
        data.y("yield")
    said = join(lines_of("id,yield", [*IDS, *IDS], with_missing("-9") + [f",{value}" for value in Y]), missing=-9)
    assert said.y("yield")[0] == Y[0]


PLINK = {
    "FID and IID": ("FID,IID,yield", [f"F,{name}" for name in IDS], "t.csv"),
    "PLINK 2": ("#IID,yield", IDS, "t.csv"),
    "a phenotype file": ("id,yield", IDS, "t.pheno"),
    "a .fam": (f"F,{IDS[0]},0,0,1,{Y[0]}", [f"F,{name},0,0,1" for name in IDS[1:]], "t.fam"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLINK)
def test_minus_9_is_missing_in_tables_of_plink_however_it_is_written(join, case):
    header, ids, name = PLINK[case]
    cells = [f",{value}" for value in Y[N - len(ids) :]]
    cells[5:8] = [",-9", ",-9.0", ",-9.00"]
    data = join(lines_of(header, ids, cells), name=name)
    trait = "phenotype" if name == "t.fam" else "yield"
    values = data.y(trait)
    start = 5 + N - len(ids)
    assert np.isnan(values[start : start + 3]).all()
    assert np.isfinite(values).sum() == N - 3
    assert any("3 cells are -9, which is missing" in note for note in data.notes)
    said = join(lines_of(header, ids, cells), name=name, missing="value:-9")
    assert (said.traits[trait] == -9).sum() == 3


def test_only_the_trait_that_is_asked_for_stops(join):
    rows = [f",{value},{other}" for value, other in zip([-9, *Y[1:]], Y, strict=True)]
    data = join(lines_of("id,height,yield", IDS, rows))
    assert data.y("yield").tolist() == Y.tolist()
    with pytest.raises(DataError, match="'height' is -9"):
        choose_trait(data, "height")


def test_minus_9_is_no_fold(join):
    rows = [f",{-9 if n < 3 else n % 4},{value}" for n, value in enumerate(Y)]
    data = join(lines_of("id,fold,yield", IDS, rows))
    config = SplitConfig(fold_column="fold")
    with pytest.raises(SplitError, match=r"fold_column 'fold': is -9 \(3 of 60 rows\)"):
        own_folds(data, config, np.zeros(N, dtype=bool))
    assert (
        own_folds(join(lines_of("id,fold,yield", IDS, rows), missing="value:-9"), config, np.zeros(N, dtype=bool)).max()
        == 4
    )


def draws(seed):
    rng = np.random.default_rng(seed)
    return {
        "degrees": np.rint(rng.uniform(-20, 20, 300)),
        "degrees with a tenth": np.round(rng.normal(0, 8, 300), 1),
        "log ratios": np.round(rng.normal(0, 3, 500), 2),
        "differences": np.rint(rng.normal(0, 30, 400)),
        "percent": np.rint(rng.beta(5, 1.2, 400) * 100),
        "scores": rng.integers(1, 10, 300).astype(float),
        "scores around 0": rng.integers(-1, 2, 300).astype(float),
        "counts": rng.negative_binomial(1, 0.002, 2000).astype(float),
        "breeding values": np.round(rng.normal(0, 40, 300)),
        "zero-inflated": np.where(rng.random(300) < 0.6, 0, rng.gamma(2, 20, 300)),
        "years": rng.integers(1990, 2025, 200).astype(float),
        "heavy tails": np.round(rng.standard_t(2, 800) * 5, 1),
    }


@pytest.mark.parametrize("name", draws(0))
def test_real_values_are_no_alarm(name):
    for seed in range(20):
        assert sentinels(draws(seed)[name], Missing()) == []


@pytest.mark.parametrize("name", ["degrees with a tenth", "log ratios", "counts", "scores", "years", "percent"])
@pytest.mark.parametrize("code", [-999.0, -9999.0, 99999.0])
def test_codes_far_outside_are_found_in_each_of_them(name, code):
    values = draws(1)[name].copy()
    values[:10] = code
    assert sentinels(values, Missing()) == [code]


def test_a_code_inside_the_range_is_found_where_nothing_else_repeats():
    values = np.random.default_rng(2).normal(0, 10, 200)
    values[:12] = -9
    assert sentinels(values, Missing()) == [-9]
    assert sentinels(values, Missing.of("value:-9.0")) == []


def test_two_codes_are_named_together(join):
    data = join(lines_of("id,yield", IDS, with_missing("-9", "-99", "-9")))
    with pytest.raises(DataError, match=r"-99 \(1 of 60 rows\) and -9 \(2 of 60 rows\).*--missing -99,-9\)"):
        data.y("yield")


@pytest.fixture
def files(tmp_path):
    rows = zip(IDS, SEQUENCES, with_missing("-9", "-"), strict=True)
    (tmp_path / "d.csv").write_text("id,sequence,yield\n" + "".join(f"{a},{b}{c}\n" for a, b, c in rows))
    return tmp_path


def test_the_verbs_stop_and_take_the_option(files, capsys):
    data, out = str(files / "d.csv"), str(files / "out")
    assert main(["split", "--data", data, "--trait", "yield", "-o", out]) == 2
    assert "d.csv:3: '-' (if it means missing, say so with --missing -)" in capsys.readouterr().err
    assert main(["split", "--data", data, "--trait", "yield", "-o", out, "--missing", "-"]) == 2
    assert "say that it is missing (--missing -9) or a value (--missing value:-9)" in capsys.readouterr().err
    assert not (files / "out").exists()
    assert main(["split", "--data", data, "-o", out, "--missing=-9,-"]) == 0
    assert "2 are missing" in capsys.readouterr().out
    split = str(files / "out" / "split.csv")
    assert main(["audit", split, "--data", data, "--trait", "yield", "--missing", "-"]) == 2
    assert "is -9 (1 of 60 rows)" in capsys.readouterr().err
    assert main(["audit", split, "--data", data, "--trait", "yield", "--missing", "-9", "--missing", "-"]) == 0


def test_python_and_a_study_file_take_it(files):
    from automl_pheno.api.plan import plan_data

    assert ap.read(files / "d.csv", missing=["-9", "-"]).traits["yield"].isna().sum() == 2
    study = files / "s.yaml"
    study.write_text("space: x.yaml\ndata: {file: d.csv, trait: yield, missing: [-9, '-']}\n")
    data, trait, _ = plan_data(study=study)
    assert (trait, int(data.traits["yield"].isna().sum())) == ("yield", 2)
    over, _, _ = plan_data(study=study, missing=("value:-9", "-"))
    assert over.y("yield")[0] == -9


def test_a_number_that_stands_for_no_value_is_no_group(tmp_path):
    rows = [f"s{i},{'ACGT' * 5 + 'A' * i + 'C'},{i}.5,{-9 if i < 3 else i % 6}" for i in range(40)]
    (tmp_path / "d.csv").write_text("id,sequence,yield,block\n" + "\n".join(rows) + "\n")
    with pytest.raises(SplitError, match=r"groups: column 'block' is -9 \(3 of 40 rows\).*--missing -9"):
        make_groups(ap.read(tmp_path / "d.csv"), ("column:block",))
    groups = make_groups(ap.read(tmp_path / "d.csv", missing="-9"), ("column:block",))
    assert len(set(groups.labels.tolist())) == 6 + 3  # each sample without a block is a group of its own
