import json

import numpy as np
import pytest

from automl_pheno.cli import main
from automl_pheno.simulate.leaks import plant_sequence_leaks, simulate_unrelated


@pytest.fixture
def folder(tmp_path, monkeypatch):
    from automl_pheno.data import decode

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    data, pairs = plant_sequence_leaks(simulate_unrelated(150, 90, rng), "mutated_5", 0.04, rng)
    rows = zip(data.ids, decode(data.inputs.values), data.y("trait"), strict=True)
    (tmp_path / "data.csv").write_text("id,sequence,trait\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    near = set(pairs[:, 1])
    for name, own in (("good", "purged"), ("bad", "train")):
        sets = [
            own if one in near else "test" if one.startswith("leak") else "train" if i % 4 else "val"
            for i, one in enumerate(data.ids)
        ]
        lines = "".join(f"{one}\t{part}\n" for one, part in zip(data.ids, sets, strict=True))
        (tmp_path / f"{name}.tsv").write_text("ID\tSplit\n" + lines)
    return tmp_path


def audit(capsys, *words):
    code = main(["audit", *words, "--data", "data.csv"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_clean_split_ends_with_0(folder, capsys):
    code, out, _ = audit(capsys, "good.tsv", "--json", "facts.json")
    assert code == 0
    assert "leakage-free at identity >= 0.8" in out
    table = out[out.index("shared across sides") : out.index("leakage-free")]
    assert max(map(len, table.splitlines())) <= 80
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["leaks"] == []
    assert facts["certificate"]["compared"] == 6
    assert facts["sizes"]["test"] == 6


def test_leaks_end_with_3(folder, capsys):
    code, out, _ = audit(capsys, "bad.tsv")
    assert code == 3
    assert "LEAK: 6 pairs with identity >= 0.8 across test and what is trained on" in out
    code, out, _ = audit(capsys, "bad.tsv", "--identity", "0.9")
    assert code == 3
    assert "LEAK: 6 pairs with identity >= 0.9" in out


def test_our_own_split_takes_the_thresholds_of_its_card(folder, capsys):
    assert main(["split", "--data", "data.csv", "--group-by", "similarity:0.9", "-o", "made"]) == 0
    capsys.readouterr()
    code, out, _ = audit(capsys, "made/split.csv")
    assert code == 0
    assert "thresholds are those of split_card.json" in out
    assert "identity >= 0.9" in out
    text = (folder / "made" / "split.csv").read_text()
    (folder / "made" / "split.csv").write_text(text.replace("test", "validation", 1))
    code, out, _ = audit(capsys, "made/split.csv")
    assert "is not of this split; default thresholds" in out
    assert "identity >= 0.8" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.csv"], "none.csv: cannot be read: No such file"),
        (["good.tsv", "--relatedness", "0.1"], "relatedness is of genotypes, and the data are sequences"),
        (["good.tsv", "--identity", "0.2"], "identity must be from 0.7 to 1, got 0.2"),
        (["good.tsv", "--group-by", "column:famly"], "no column 'famly'"),
        (["good.tsv", "--group-by", "colum:x"], "did you mean 'column'"),
        (["good.tsv", "--group-by", "similarity:x"], "must be a number, got 'x'"),
        (["good.tsv", "--group-by", "chromosome"], "'chromosome' needs a column called chromosome, chrom, chr"),
        (["good.tsv", "--extrapolation", "unsen"], "did you mean 'unseen'"),
        (["good.tsv", "--trait", "trai"], "no trait 'trai'"),
        (["data.csv"], "a split is a table of an id"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(folder, capsys, words, message):
    code, _, err = audit(capsys, *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_data_are_needed(folder, capsys):
    assert main(["audit", "good.tsv"]) == 2
    assert "--data is needed" in capsys.readouterr().err
