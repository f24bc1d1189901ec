"""README and how-tos hold: their commands and code run, their links lead somewhere, the README is short."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from automl_pheno.cli import main

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
HOWTOS = sorted((ROOT / "docs" / "howto").glob("*.md"))
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]+)(?:#[^)]*)?\)")


def blocks(path: Path, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall(path.read_text(encoding="utf-8")) if name == language]


def commands(path: Path) -> list[list[str]]:
    lines = [line for text in blocks(path, "") for line in text.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("automl-pheno ")]


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_readme_has_the_two_commands_each_alone() -> None:
    alone = [text.strip() for text in blocks(README, "")]
    start = "python3 -m venv .venv && .venv/bin/pip install -e "
    assert f"{start}. && .venv/bin/automl-pheno search --space search_spaces/cnn.yaml" in alone
    assert f"{start}'.[test]' && .venv/bin/pytest" in alone


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    broken = [target for target in LINK.findall(text) if not (path.parent / target).exists()]
    assert not broken


@pytest.mark.parametrize("path", [README, *HOWTOS], ids=lambda path: path.name)
def test_verbs_and_options_in_the_documents_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    used = commands(path)
    assert used
    for words in used:
        assert main([words[0], "--help"]) == 0
        known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))
        assert {word.split("=")[0] for word in words if re.match(r"-{1,2}[a-z]", word)} <= known, words


def test_the_space_of_the_howto_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = blocks(ROOT / "docs" / "howto" / "space.md", "yaml")
    monkeypatch.chdir(tmp_path)
    Path("my_space.yaml").write_text(example)
    assert main(["check", "my_space.yaml"]) == 0


def test_the_space_howto_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "search_spaces", tmp_path / "search_spaces")
    monkeypatch.chdir(tmp_path)
    for words in commands(ROOT / "docs" / "howto" / "space.md"):
        assert main(words) == 0, words


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sequences.md", "genotypes.md"])
def test_a_howto_runs_from_top_to_bottom(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command in order, then the Python of the page, in one folder, with slots of their own."""
    shutil.copytree(ROOT / "search_spaces", tmp_path / "search_spaces")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "howto" / name
    for words in commands(page):
        assert main(words) == 0, words
    for number, code in enumerate(blocks(page, "python")):
        exec(compile(code, f"{name}:{number}", "exec"), {})
    assert list(tmp_path.rglob("predictions.csv"))


def test_the_space_of_the_gpu_howto_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = blocks(ROOT / "docs" / "howto" / "gpu.md", "yaml")
    monkeypatch.chdir(tmp_path)
    Path("half.yaml").write_text(example)
    assert main(["check", "half.yaml"]) == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_gpu_howto_runs_without_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands with one baseline, JAX among them, on the CPU, which the leaderboard shows."""
    shutil.copytree(ROOT / "search_spaces", tmp_path / "search_spaces")
    monkeypatch.chdir(tmp_path)
    for words in commands(ROOT / "docs" / "howto" / "gpu.md"):
        assert main([*words, "--baselines", "mean"] if words[0] == "search" else words) == 0, words
    for run in ("gpu", "gpu2", "jax"):
        table = pd.read_csv(Path("studies", run, "leaderboard.csv"))
        assert set(table["device"].dropna()) == {"cpu"}
        assert (table["state"] == "complete").any()


def test_the_splits_howto_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(ROOT / "docs" / "howto" / "splits.md"):
        assert main([*words, "--baselines", "gblup"] if "--compare" in words else words) == 0, words
    assert (tmp_path / "demo_families" / "split_card.html").is_file()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_explain_howto_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "search_spaces", tmp_path / "search_spaces")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "howto" / "explain.md"
    for words in commands(page):
        assert main(words) == 0, words
    for number, code in enumerate(blocks(page, "python")):
        exec(compile(code, f"explain.md:{number}", "exec"), {})
    assert Path("studies/explained/report.html").is_file()


@pytest.mark.slow
def test_the_curation_howto_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its study file as it stands, but with fewer trials."""
    shutil.copytree(ROOT / "search_spaces", tmp_path / "search_spaces")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "howto" / "curation.md"
    study = blocks(page, "yaml")[0]
    assert "trials: 5" in study
    Path("study.yaml").write_text(study.replace("trials: 5", "trials: 1\nbaselines: [gblup, ridge]"))
    for words in commands(page):
        assert main(words) == 0, words
    assert Path("studies/curated/final.json").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
# KerasTuner 1.4.8 uses threading's old names, and loads weights without those of the optimizer.
@pytest.mark.filterwarnings("ignore:(currentThread|getName).. is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Skipping variable loading:UserWarning")
def test_the_keras_tuner_howto_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "search_spaces", tmp_path / "search_spaces")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "howto" / "keras_tuner.md"
    for words in commands(page):
        assert main(words) == 0, words
    names: dict[str, object] = {}
    for number, code in enumerate(blocks(page, "python")):
        exec(compile(code, f"keras_tuner.md:{number}", "exec"), names)
    assert Path("tuned/promoters/oracle.json").is_file()
    assert Path("tuned/with_optuna/optuna_journal.log").is_file()
    assert Path("studies/hyperband/final.json").is_file()
    assert not Path("studies/hyperband/weights").exists()


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a simulated `promoters.csv`, with 2 trials instead of 50 and without baselines, so that a network wins."""
    shutil.copytree(ROOT / "search_spaces", tmp_path / "search_spaces")
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "motifs", "-o", "made", "--n", "300"]) == 0
    text = Path("made/data.csv").read_text().replace(",trait", ",leaf", 1)
    Path("promoters.csv").write_text(text)
    (code,) = blocks(README, "python")
    assert "trials=50" in code
    names: dict[str, object] = {"sequences": "promoters.csv"}
    exec(compile(code.replace("trials=50", "trials=2, workers=0, baselines=[]"), "README.md", "exec"), names)
    assert Path("studies/promoters/best").is_dir()
