"""Bad input: exit code 2, one clear line, nothing written, and no deep-learning library loaded to find it out."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SEARCH = ("search", "--space", "space.yaml", "--data")
TRAIT = ("--trait", "leaf")

Prepare = Callable[[Path], object]
Refuses = Callable[[tuple[str, ...], tuple[str, ...]], None]
CASES: list[Any] = []


def nothing(folder: Path) -> None:
    """Change nothing."""


def write(name: str, text: str) -> Prepare:
    return lambda folder: (folder / name).write_text(text)


def edit(name: str, old: str, new: str, target: str | None = None) -> Prepare:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / (target or name)).write_text(text.replace(old, new, 1))

    return change


def case(name: str, words: tuple[str, ...], expected: tuple[str, ...], prepare: Prepare = nothing) -> None:
    CASES.append(pytest.param(prepare, words, expected, id=name))


def rows(values: list[str], sequence: str = "ACGTACGTACGTAC") -> str:
    letters = "ACGT"
    return "id,sequence,leaf\n" + "".join(
        f"s{i},{sequence}{letters[i % 4]}{letters[i // 4 % 4]}{letters[i // 16 % 4]},{value}\n"
        for i, value in enumerate(values)
    )


def saved_model(folder: Path, *, width: int, variants: list[str] | None = None) -> None:
    """Lay out the part of a run that `predict` looks at before it loads the model."""
    best = folder / "run" / "best"
    best.mkdir(parents=True)
    (folder / "run" / "study.yaml").write_text("schema: 1\n")
    kind = "sequence" if variants is None else "genotype"
    (best / "predictor.json").write_text(json.dumps({"kind": "ridge", "input": kind, "width": width, "trait": "leaf"}))
    if variants is not None:
        lines = "".join(f"{name},1,{i},A,C\n" for i, name in enumerate(variants))
        (best / "variants.csv").write_text("id,chromosome,position,ref,alt\n" + lines)


# --- spaces
case("space missing", (*SEARCH[:2], "spcae.yaml", "--data", "data.csv", *TRAIT), ("spcae.yaml", "space.yaml"))
case("space not given", ("search", "--data", "data.csv", *TRAIT), ("--space",))
case("space empty", ("check", "empty.yaml"), ("empty.yaml",), write("empty.yaml", ""))
case("space is no YAML", ("check", "bad.yaml"), ("bad.yaml:2",), write("bad.yaml", "trunk: [\n  a: }\n"))
case(
    "space with a misspelt key", (*SEARCH, "data.csv", *TRAIT), ("space.yaml:6", "fliters", "filters"),
    edit("space.yaml", "filters", "fliters"),
)  # fmt: skip
case("space with an unknown block", ("check", "space.yaml"), ("space.yaml:5", "cnov", "conv"),
     edit("space.yaml", "block: conv", "block: cnov"))  # fmt: skip
case("space with a step of 0", ("check", "space.yaml"), ("space.yaml:7", "trunk.0.kernel_size", "0"),
     edit("space.yaml", "step: 2", "step: 0"))  # fmt: skip
case("space with min above max", ("check", "space.yaml"), ("space.yaml:7", "trunk.0.kernel_size"),
     edit("space.yaml", "max: 7", "max: 1"))  # fmt: skip
case("space with log and step", ("check", "space.yaml"), ("space.yaml:11", "log", "step"),
     edit("space.yaml", "log: true", "log: true, step: 1.0e-3"))  # fmt: skip
case("space with a yes for a number", ("check", "space.yaml"), ("space.yaml:11", "max_epochs", "yes"),
     edit("space.yaml", "max_epochs: 2", "max_epochs: yes"))  # fmt: skip
case("space without an end", ("check", "space.yaml"), ("space.yaml", "flatten"),
     edit("space.yaml", "  - block: flatten\n", ""))  # fmt: skip
case("space too large for the length", ("check", "space.yaml", "--length", "2"), ("width 2",),
     edit("space.yaml", "pooling: max", "pooling: max\n    padding: valid"))  # fmt: skip
case("space for another kind of data", ("search", "--space", "space_genotype.yaml", "--data", "data.csv", *TRAIT),
     ("genotype", "sequence"))  # fmt: skip
case("check without files", ("check",), ("check", "file"))
case("check of a length of 0", ("check", "space.yaml", "--length", "0"), ("--length", "0"))

# --- data
case("data missing", (*SEARCH, "dta.csv", *TRAIT), ("dta.csv", "no such file"))
case("data is a folder", (*SEARCH, "sub", *TRAIT), ("sub", "folder"), lambda folder: (folder / "sub").mkdir())
case("data empty", (*SEARCH, "empty.csv", *TRAIT), ("empty.csv", "empty"), write("empty.csv", ""))
case("data header only", (*SEARCH, "header.csv", *TRAIT), ("header.csv", "header"),
     write("header.csv", "id,sequence,leaf\n"))  # fmt: skip
case("data truncated gzip", (*SEARCH, "cut.csv.gz", *TRAIT), ("cut.csv.gz", "truncated"),
     lambda folder: cut_gzip(folder))  # fmt: skip
case("data binary", (*SEARCH, "noise.bin", *TRAIT), ("noise.bin", "binary"),
     lambda folder: (folder / "noise.bin").write_bytes(bytes(range(256)) * 8))  # fmt: skip
case("data of proteins", (*SEARCH, "protein.csv", *TRAIT), ("protein.csv", "protein"),
     write("protein.csv", "id,sequence,leaf\n" + "".join(f"s{i},MKVLEFPQWIRT,{i}\n" for i in range(30))))  # fmt: skip
case("data with another letter", (*SEARCH, "data.csv", *TRAIT), ("data.csv:2", "position 3", "'Z'"),
     lambda folder: spoil_letter(folder))  # fmt: skip
case(
    "data with duplicated ids", (*SEARCH, "data.csv", *TRAIT), ("data.csv", "'s1'"), edit("data.csv", "\ns2,", "\ns1,")
)
case("data with a ragged row", (*SEARCH, "data.csv", *TRAIT), ("data.csv:3",), edit("data.csv", "\ns1,", "\nx,s1,"))
case("data in VCF", (*SEARCH, "calls.vcf", *TRAIT), ("calls.vcf", "VCF"), write("calls.vcf", "##fileformat=VCFv4.2\n"))
case("data without the sequence column", (*SEARCH, "data.csv", *TRAIT, "--sequence-column", "seq"),
     ("data.csv", "seq"))  # fmt: skip
case("data without the id column", (*SEARCH, "data.csv", *TRAIT, "--id-column", "name"), ("data.csv", "name"))
case("dosage of 7", ("search", "--space", "space_genotype.yaml", "--data", "d.csv", "--trait-table", "traits.csv"),
     ("d.csv:6", "s4", "v2", "7"), lambda folder: spoil_dosage(folder))  # fmt: skip

# --- traits
case("trait unknown", (*SEARCH, "data.csv", "--trait", "laef"), ("laef", "leaf"))
case("trait not named", (*SEARCH, "data.fa", "--trait-table", "traits.csv"), ("leaf", "root"))
case("trait is text", (*SEARCH, "data.csv", "--trait", "family"), ("family", "f"))
case("trait with a word in it", (*SEARCH, "data.csv", *TRAIT), ("data.csv", "high"), lambda folder: spoil_trait(folder))
case("trait all missing", (*SEARCH, "nan.csv", *TRAIT), ("leaf",), write("nan.csv", rows(["NA"] * 60)))
case("trait mostly missing", (*SEARCH, "nan.csv", *TRAIT), ("leaf", "5", "20"),
     write("nan.csv", rows(["1", "2", "3", "4", "5"] + ["NA"] * 55)))  # fmt: skip
case("trait constant", (*SEARCH, "flat.csv", *TRAIT), ("leaf", "7"), write("flat.csv", rows(["7"] * 60)))
case("trait table missing", (*SEARCH, "data.fa", "--trait-table", "t.csv", *TRAIT), ("t.csv",))
case("trait table of other samples", (*SEARCH, "data.fa", "--trait-table", "t.csv", *TRAIT),
     ("t.csv", "data.fa", "in common"),
     write("t.csv", "id,leaf\n" + "".join(f"x{i},{i}\n" for i in range(60))))  # fmt: skip
case("trait without data", ("search", "--space", "space.yaml", *TRAIT), ("trait", "--data"))

# --- options
case("metric unknown", (*SEARCH, "data.csv", *TRAIT, "--metric", "pearsonr"), ("metric", "pearsonr", "pearson_r"))
case("pruner unknown", (*SEARCH, "data.csv", *TRAIT, "--pruner", "medain"), ("pruner", "medain", "median"))
case("engine unknown", (*SEARCH, "data.csv", *TRAIT, "--engine", "optuna/tp"), ("engine", "optuna/tp", "optuna/tpe"))
case("baseline unknown", (*SEARCH, "data.csv", *TRAIT, "--baselines", "ridge,gblp"), ("baseline", "gblp", "gblup"))
case("backend unknown", (*SEARCH, "data.csv", *TRAIT, "--backend", "torch"), ("backend", "torch", "tensorflow"))
case("time limit malformed", (*SEARCH, "data.csv", *TRAIT, "--time-limit", "soon"), ("time_limit", "soon", "30m"))
case("time limit of 0", (*SEARCH, "data.csv", *TRAIT, "--time-limit", "0s"), ("time_limit", "0"))
case("trials negative", (*SEARCH, "data.csv", *TRAIT, "--trials", "-1"), ("trials", "-1"))
case("trials no number", (*SEARCH, "data.csv", *TRAIT, "--trials", "many"), ("--trials", "many"))
case("workers malformed", (*SEARCH, "data.csv", *TRAIT, "--workers", "all"), ("workers", "all", "auto"))
case("folds of 1", (*SEARCH, "data.csv", *TRAIT, "--folds", "1"), ("folds", "1"))
case("more folds than groups", (*SEARCH, "data.csv", *TRAIT, "--folds", "20", "--group-by", "column:family"),
     ("groups", "fold"))  # fmt: skip
case("grouping unknown", (*SEARCH, "data.csv", *TRAIT, "--group-by", "familly"), ("familly", "column"))
case("grouping by a missing column", (*SEARCH, "data.csv", *TRAIT, "--group-by", "column:familly"),
     ("familly", "family"))  # fmt: skip
case("grouping by chromosome without one", (*SEARCH, "data.csv", *TRAIT, "--group-by", "chromosome"), ("chromosome",))
case("random beside a grouping", (*SEARCH, "data.csv", *TRAIT, "--group-by", "random", "--group-by", "column:family"),
     ("random", "alone"))  # fmt: skip
case("out below a file", (*SEARCH, "data.csv", *TRAIT, "--out", "data.csv/run"), ("data.csv/run",))
case("out is a file", (*SEARCH, "data.csv", *TRAIT, "--out", "traits.csv"), ("traits.csv",))
case("option unknown", (*SEARCH, "data.csv", *TRAIT, "--trails", "3"), ("--trails",))
case("verb unknown", ("serach",), ("serach",))

# --- study files
case("study missing", ("search", "stduy.yaml"), ("stduy.yaml",))
case("study with an unknown key", ("search", "study.yaml"), ("study.yaml:3", "trails", "trials"),
     edit("study.yaml", "trials", "trails"))  # fmt: skip
case("study with an unknown key of the data", ("search", "study.yaml"), ("study.yaml:2", "trat", "trait"),
     edit("study.yaml", "trait", "trat"))  # fmt: skip
case("study with a wrong type", ("search", "study.yaml"), ("study.yaml:3", "trials", "two"),
     edit("study.yaml", "trials: 2", "trials: two"))  # fmt: skip
case("study without a space", ("search", "study.yaml"), ("study.yaml", "space"),
     edit("study.yaml", "space: space.yaml\n", ""))  # fmt: skip
case("study is a list", ("search", "study.yaml"), ("study.yaml", "mapping"), write("study.yaml", "- a\n- b\n"))
case("study of a missing space", ("search", "study.yaml"), ("nowhere.yaml",),
     edit("study.yaml", "space.yaml", "nowhere.yaml"))  # fmt: skip
case("study with a mistake, checked", ("check", "study.yaml"), ("study.yaml:3", "trials", "-4"),
     edit("study.yaml", "trials: 2", "trials: -4"))  # fmt: skip

# --- split
case("split of a missing trait", ("split", "--data", "data.csv", "--trait", "stem", "-o", "new"), ("stem", "leaf"))
case("split into a file", ("split", "--data", "data.csv", *TRAIT, "-o", "traits.csv"), ("traits.csv", "folder"))

# --- runs
case("leaderboard of no folder", ("leaderboard", "studies/none"), ("studies/none",))
case("leaderboard of another folder", ("leaderboard", "sub"), ("sub", "study.yaml"), lambda f: (f / "sub").mkdir())
case("leaderboard of a file", ("leaderboard", "data.csv"), ("data.csv",))
case("leaderboard of an unfinished run", ("leaderboard", "run"), ("run", "leaderboard.csv"),
     lambda folder: saved_model(folder, width=40))  # fmt: skip
case("explain of an unfinished run", ("explain", "run"), ("run", "final.json"),
     lambda folder: saved_model(folder, width=40))  # fmt: skip
case("explain by an unknown method", ("explain", "run", "--method", "deeplfit"), ("deeplfit", "deeplift"),
     lambda folder: saved_model(folder, width=40))  # fmt: skip
case("explain by an unknown part", ("explain", "run", "--parts", "motifs,filtres"), ("filtres", "filters"),
     lambda folder: saved_model(folder, width=40))  # fmt: skip
case("report of another folder", ("report", "sub"), ("sub",), lambda f: (f / "sub").mkdir())
case("replay of no folder", ("replay", "studies/none", "3"), ("studies/none",))
case("replay of an unknown trial", ("replay", "run", "cnn-3"), ("run", "cnn-3", "known"),
     lambda folder: saved_model(folder, width=40))  # fmt: skip
case("dashboard of no folder", ("dashboard", "studies/none"), ("studies/none",))
case("dashboard of an unfinished run", ("dashboard", "run"), ("run", "journal.log"),
     lambda folder: saved_model(folder, width=40))  # fmt: skip
case("predict without a model", ("predict", "sub", "data.csv", "-o", "p.csv"), ("sub",), lambda f: (f / "sub").mkdir())
case("predict longer sequences", ("predict", "run", "data.csv", "-o", "p.csv"), ("30 bp", "40 bp"),
     lambda folder: saved_model(folder, width=30))  # fmt: skip
case("predict genotypes by a model of sequences", ("predict", "run", "dosages.csv.gz", "-o", "p.csv"),
     ("sequence", "genotype"), lambda folder: saved_model(folder, width=30))  # fmt: skip
case("predict other variants", ("predict", "run", "dosages.csv.gz", "-o", "p.csv"), ("none of the 2 variants", "rs1"),
     lambda folder: saved_model(folder, width=2, variants=["rs1", "rs2"]))  # fmt: skip
case("predict a missing file", ("predict", "run", "none.fa", "-o", "p.csv"), ("none.fa",),
     lambda folder: saved_model(folder, width=40))  # fmt: skip
case("predict into a folder that is not there", ("predict", "run", "data.csv", "-o", "none/p.csv"), ("none/p.csv",),
     lambda folder: saved_model(folder, width=40))  # fmt: skip
case("predict without saying where", ("predict", "run", "data.csv"), ("--out",))

# --- simulate
case("simulate an unknown kind", ("simulate", "motif", "-o", "new"), ("motif", "motifs"))
case("simulate with a setting of another kind", ("simulate", "motifs", "-o", "new", "--variants", "5"), ("n_variants",))
case("simulate too few", ("simulate", "motifs", "-o", "new", "--n", "1"), ("n must be", "1"))
case("simulate into a file", ("simulate", "motifs", "-o", "data.csv", "--n", "50"), ("data.csv",))


def cut_gzip(folder: Path) -> None:
    (folder / "cut.csv.gz").write_bytes(gzip.compress((folder / "data.csv").read_bytes())[:-40])


def spoil_dosage(folder: Path) -> None:
    lines = gzip.decompress((folder / "dosages.csv.gz").read_bytes()).decode().splitlines()
    cells = lines[5].split(",")
    lines[5] = ",".join([*cells[:3], "7", *cells[4:]])
    (folder / "d.csv").write_text("\n".join(lines))


def spoil_letter(folder: Path) -> None:
    lines = (folder / "data.csv").read_text().splitlines(keepends=True)
    name, sequence, rest = lines[1].split(",", 2)
    lines[1] = f"{name},{sequence[:2]}Z{sequence[3:]},{rest}"
    (folder / "data.csv").write_text("".join(lines))


def spoil_trait(folder: Path) -> None:
    lines = (folder / "data.csv").read_text().splitlines(keepends=True)
    name, sequence, _, family = lines[5].split(",")
    lines[5] = f"{name},{sequence},high,{family}"
    (folder / "data.csv").write_text("".join(lines))


@pytest.mark.parametrize(("prepare", "words", "expected"), CASES)
def test_bad_input_is_one_line_and_writes_nothing(
    folder: Path, refuses: Refuses, prepare: Prepare, words: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    prepare(folder)
    refuses(words, expected)


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 30
    assert len({parameters.id for parameters in CASES}) == len(CASES)


def test_no_deep_learning_library_is_loaded_to_find_it_out(folder: Path) -> None:
    saved_model(folder, width=30)
    words = [
        [*SEARCH, "data.csv", "--trait", "laef"],
        [*SEARCH, "data.csv", *TRAIT, "--trials", "-1"],
        [*SEARCH, "data.csv", *TRAIT, "--group-by", "column:familly"],
        ["search", "--space", "space_genotype.yaml", "--data", "data.csv", *TRAIT],
        ["predict", "run", "data.csv", "-o", "p.csv"],
    ]
    code = (
        f"import sys\nfrom automl_pheno.cli import main\ncodes = [main(w) for w in {words!r}]\n"
        "print(codes, [m for m in ('tensorflow', 'keras', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[2, 2, 2, 2, 2] []"
