"""Tables of traits as programs write them: whole ones are read as they were made, damaged ones read or refused.

``AUTOML_PHENO_FUZZ_SECONDS`` says for how long the slow test tries (600), ``AUTOML_PHENO_FUZZ_SEED`` where it begins.
"""

from __future__ import annotations

import csv
import io
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from automl_pheno.data import Dataset, read_dataset
from automl_pheno.errors import AutoMLPhenoError

SECONDS = float(os.environ.get("AUTOML_PHENO_FUZZ_SECONDS", "600"))
SEED = int(os.environ.get("AUTOML_PHENO_FUZZ_SEED", "0"))
IDS = [f"L{number}x" for number in range(12)]
NAMES = ("y", "h t", "plot", "rep", "site", "note", "Yield (t/ha)", "a;b", "c,d")
ID_NAMES = ("id", "genotype", "line", "what", "Sample ID", "gid", "")
TEXTS = ("n", "s", "a b", "it, is", "x;y", '"q"', "é")


def made(draw: random.Random) -> tuple[str, dict[str, dict[str, float]]]:
    """Return a table as text, and its numeric columns: name -> id -> value."""
    delimiter = draw.choice([",", "\t", ";"])
    names = [f"{draw.choice(NAMES)}{number}" for number in range(draw.randint(1, 4))]
    kinds = [draw.choice(["real", "whole", "comma", "text", "holes"]) for _ in names]
    rows: list[dict[str, str]] = []
    truth: dict[str, dict[str, float]] = {}
    for name in draw.sample(IDS, len(IDS)):
        row = {}
        for column, kind in zip(names, kinds, strict=True):
            value = draw.randint(0, 50) if kind == "whole" else round(draw.uniform(0.01, 9), 2)
            cell = str(value).replace(".", "," if kind == "comma" else ".")
            if kind == "text":
                cell = draw.choice(TEXTS)
            elif kind == "holes" and draw.random() < 0.5:
                cell, value = draw.choice(["NA", "", "."]), np.nan
            if kind != "text" and not (kind == "comma" and delimiter == ","):
                truth.setdefault(column, {})[name] = value
            row[column] = cell
        rows.append({"": name, **row})
    place = draw.randint(0, len(names))
    header = [*names[:place], draw.choice(ID_NAMES), *names[place:]]
    order = [*names[:place], "", *names[place:]]
    if header[place] == "" and place:
        header[place] = "id"
    text = io.StringIO()
    end = draw.choice(["\n", "\r\n", "\r"])
    writer = csv.writer(
        text, delimiter=delimiter, lineterminator=end, quoting=draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    )
    writer.writerow(header)
    writer.writerows([row[name] for name in order] for row in rows)
    return draw.choice(["", "\ufeff"]) + text.getvalue(), truth


def damaged(text: str, draw: random.Random) -> str:
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(text))
        part = draw.choice(["", text[place : place + 3] * 2, draw.choice(',;\t" \n\r\ufeff\0')])
        text = text[:place] + part + text[place + 1 :]
    return text


def read(folder: Path, text: str) -> Dataset:
    (folder / "t.txt").write_bytes(text.encode())
    return read_dataset(folder / "s.csv", trait_table=folder / "t.txt")


def try_until(folder: Path, seed: int, *, seconds: float, cases: int) -> None:
    draw = random.Random(seed)
    bases = ["".join(draw.choice("ACGT") for _ in range(14)) for _ in IDS]
    table = "".join(f"{name},{sequence}\n" for name, sequence in zip(IDS, bases, strict=True))
    (folder / "s.csv").write_text(f"id,sequence\n{table}")
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end and done < cases:
        done += 1
        text, truth = made(draw)
        data = read(folder, text)
        assert data.ids.tolist() == IDS, text
        for name, values in truth.items():
            if np.isnan(list(values.values())).all():
                continue
            if name not in data.traits:  # each comma has three digits behind it, or there is none
                assert name in data.unusable, text
                continue
            np.testing.assert_array_equal(data.traits[name], [values[one] for one in IDS], err_msg=text)
        try:
            read(folder, damaged(text, draw))
        except AutoMLPhenoError:
            continue


def test_tables_are_read_as_they_were_made(tmp_path):
    try_until(tmp_path, SEED + 1, seconds=20, cases=150)


@pytest.mark.timeout(0)
@pytest.mark.slow
def test_tables_are_read_as_they_were_made_for_long(tmp_path):
    try_until(tmp_path, SEED, seconds=SECONDS, cases=10**9)
