"""A folder with small, good input, and a way to run the command in this process."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from automl_pheno.cli import main

SPACE = """\
schema: 1
name: tiny
input: sequence
trunk:
  - block: conv
    filters: {values: [4, 8]}
    kernel_size: {min: 3, max: 7, step: 2}
    pooling: max
    pool_size: 4
  - block: flatten
fit: {learning_rate: {min: 1.0e-3, max: 1.0e-2, log: true}, max_epochs: 2, patience: 2}
"""
SEARCH = ("search", "--space", "space.yaml", "--data", "data.csv", "--trait", "leaf", "--workers", "0")
BASELINES = ("--trials", "0", "--baselines", "mean,ridge", "--no-explain")
N = 60
LENGTH = 40


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def search_words() -> tuple[str, ...]:
    """Return the command that made `finished`."""
    return (*SEARCH, *BASELINES)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*words: object) -> Done:
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run_command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder: a space, sequences, FASTA, genotypes, trait tables, a study."""
    monkeypatch.chdir(tmp_path)
    fill(tmp_path)
    return tmp_path


@pytest.fixture
def refuses(folder: Path, run: Run) -> Callable[[tuple[str, ...], tuple[str, ...]], None]:
    """Return a check: the words end with code 2 and one line that has all that is expected; nothing is written."""

    def check(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
        before = listing(folder)
        done = run(*words)
        assert done.code == 2, done
        *notes, message = done.err.splitlines()
        assert message.startswith("error: "), done.err
        assert not [note for note in notes if "error" in note.lower()], done.err
        assert "Traceback" not in done.err + done.out
        for fragment in expected:
            assert fragment in message, done.err
        assert listing(folder) == before

    return check


def listing(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working folder in which a search of baselines alone has been run; not to be changed."""
    place = tmp_path_factory.mktemp("searched")
    fill(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main([*SEARCH, *BASELINES]) == 0
    return place


@pytest.fixture
def finished(searched: Path, folder: Path) -> Path:
    """Return a copy of that run in the working folder."""
    shutil.copytree(searched / "studies", folder / "studies")
    return folder / "studies" / "data"


def fill(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    sequences = ["".join(row) for row in rng.choice(list("ACGT"), size=(N, LENGTH))]
    trait = rng.normal(size=N)
    family = rng.integers(0, 12, size=N)
    rows = [f"s{i},{s},{y:.4f},f{f}" for i, (s, y, f) in enumerate(zip(sequences, trait, family, strict=True))]
    (tmp_path / "space.yaml").write_text(SPACE)
    (tmp_path / "space_genotype.yaml").write_text(SPACE.replace("input: sequence", "input: genotype"))
    (tmp_path / "data.csv").write_text("id,sequence,leaf,family\n" + "\n".join(rows) + "\n")
    (tmp_path / "data.fa").write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(sequences)))
    (tmp_path / "traits.csv").write_text("id,leaf,root\n" + "".join(f"s{i},{y},{-y}\n" for i, y in enumerate(trait)))
    dosages = rng.integers(0, 3, size=(N, 30))
    header = "id," + ",".join(f"v{j}" for j in range(30))
    body = "\n".join(f"s{i}," + ",".join(map(str, row)) for i, row in enumerate(dosages))
    (tmp_path / "dosages.csv.gz").write_bytes(gzip.compress(f"{header}\n{body}\n".encode()))
    (tmp_path / "study.yaml").write_text("space: space.yaml\ndata: {file: data.csv, trait: leaf}\ntrials: 2\n")
