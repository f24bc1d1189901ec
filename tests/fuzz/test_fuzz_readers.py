"""Every reader against a second one on odd files: equal or a clear error, never a traceback, never a hang.

``AUTOML_PHENO_FUZZ_SECONDS`` says for how long each format is tried by the slow test (600), and
``AUTOML_PHENO_FUZZ_SEED`` where it begins.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from second_readers import ASK, TARGETS

from automl_pheno.data import READERS, Dataset, Missing, decode, read_dataset
from automl_pheno.data.plink import find_bed
from automl_pheno.data.source import Source
from automl_pheno.errors import AutoMLPhenoError

SECONDS = float(os.environ.get("AUTOML_PHENO_FUZZ_SECONDS", "600"))
SEED = int(os.environ.get("AUTOML_PHENO_FUZZ_SEED", "0"))
A_FILE = 10.0  # seconds a file may take
FEW = 20
OURS = ("sep", "shift", "ids", "numbers")  # words for the second reader alone


@contextmanager
def no_hang(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        msg = f"no answer within {seconds:g} s"
        raise TimeoutError(msg)

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def difference(ours: Dataset, theirs: dict[str, Any]) -> str:
    """Return what two readers read differently, "" where nothing."""
    if "ids" in theirs and ours.ids.tolist() != theirs["ids"]:
        return f"ids: {ours.ids.tolist()} and {theirs['ids']}"
    if "texts" in theirs and decode(ours.inputs.values) != theirs["texts"]:
        return f"sequences: {decode(ours.inputs.values)} and {theirs['texts']}"
    variants = ours.inputs.variants
    if "variants" in theirs and (variants is None or variants["id"].tolist() != theirs["variants"]):
        return f"variants: {theirs['variants']}"
    if "places" in theirs and variants is not None:
        rows = variants[["chromosome", "position", "ref", "alt"]].itertuples(index=False, name=None)
        if [(c, int(p) or -1, r, a) for c, p, r, a in rows] != [(c, p or -1, r, a) for c, p, r, a in theirs["places"]]:
            return f"places: {theirs['places']}"
    if "values" in theirs:
        if theirs["values"] is None:
            return "the second reader sees cells that are no numbers"
        return _differ("dosages", ours.inputs.values, np.asarray(theirs["values"], dtype=np.float32))
    for name, values in theirs.get("traits", {}).items():
        if values is None:
            return f"trait {name} is numeric" if name in ours.traits.columns else ""
        if name not in ours.traits.columns:
            return "" if name in ours.unusable else f"trait {name} is lacking"
        found = _differ(f"trait {name}", ours.traits[name].to_numpy(), values)
        if found:
            return found
    return ""


def _differ(what: str, ours: np.ndarray, theirs: np.ndarray) -> str:
    if ours.shape != theirs.shape:
        return f"{what}: shapes {ours.shape} and {theirs.shape}"
    if np.allclose(ours, theirs, rtol=1e-5, atol=1e-6, equal_nan=True):
        return ""
    return f"{what}:\n{ours}\nand\n{theirs}"


def attempt(name: str, seed: int, folder: Path) -> str:
    """Try one file; return how it went: refused, same, or alone (the second reader does not say)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    target = TARGETS[name]
    path, words = target.make(np.random.default_rng([seed, len(name), ord(name[0])]), folder)
    where = f"{name}, seed {seed}, {path}"
    try:
        with no_hang(A_FILE):
            ours = read_dataset(path, **{word: value for word, value in words.items() if word not in OURS})
    except AutoMLPhenoError as error:
        text = str(error)
        assert "\n" not in text, f"{where}: more than one line: {text}"
        assert len(text) < 2000, f"{where}: {len(text)} characters"
        return "refused"
    except Exception as error:  # noqa: BLE001 - every other one is a fault of ours
        pytest.fail(f"{where}: {type(error).__name__}: {error}")
    preview = Source(find_bed(path)).preview()
    takers = [reader for reader in READERS if READERS[reader].recognises(preview, Missing())]
    assert len(takers) == 1, f"{where}: recognised as {takers}"
    theirs = target.second(path, words)
    if theirs is None:
        return "alone"
    found = difference(ours, theirs)
    assert not found, f"{where}: {found}"
    return "same"


def test_every_reader_has_a_second_one() -> None:
    assert {target.reader for target in TARGETS.values()} == {*READERS}


@pytest.mark.parametrize("name", list(TARGETS))
def test_a_few_odd_files_are_read_alike_or_refused(name: str, tmp_path: Path) -> None:
    went = Counter(attempt(name, seed, tmp_path / "odd") for seed in range(FEW))
    assert went["same"] >= 2, went
    assert went["refused"] >= 2, went


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", list(TARGETS))
def test_odd_files_are_read_alike_or_refused(name: str, tmp_path: Path) -> None:
    end = time.monotonic() + SECONDS
    seed = 1_000_000 * (SEED + 1)
    went: Counter[str] = Counter()
    while time.monotonic() < end:
        went[attempt(name, seed, tmp_path / "odd")] += 1
        seed += 1
    print(f"{name}: {dict(went)}")  # noqa: T201 - shown with -s
    assert went["same"] > went["alone"] / 4


@pytest.fixture(autouse=True, scope="module")
def _close() -> Iterator[None]:
    yield
    ASK.close()
