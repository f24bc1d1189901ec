"""Whether the count is exact when one of two supervisors on one PostgreSQL study is killed at a random moment.

Starts a server of its own. Each repetition searches `TRIALS` synthetic networks with two supervisors; one is killed
with SIGKILL after a random number of trials and never comes back. Counted: studies with the exact number of networks,
all different, none told twice, and none trained again but those that were in flight.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "study"
sys.path.insert(0, str(TESTS))

import study_postgresql

from automl_pheno.study.records import read_records

TRIALS, SLEEP, LEASE = 10, 0.05, 4.0


def repeat(server: study_postgresql.Server, folder: Path, rng: random.Random) -> dict[str, float]:
    """Run one study; return what happened."""
    url = server.create()
    begun = time.monotonic()
    processes = {}
    for name in ("victim", "other"):
        arguments = [folder / name, url, TRIALS, 0, SLEEP, LEASE, 60]
        processes[name] = subprocess.Popen(
            [sys.executable, str(TESTS / "shared_driver.py"), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(TESTS), "PGPASSWORD": study_postgresql.PASSWORD},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    marks = folder / "marks"
    after = rng.randrange(2, TRIALS - 2)
    while len(list(marks.glob("toy-*"))) < after:
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 0.5))
    processes["victim"].kill()
    processes["victim"].wait()
    killed = time.monotonic()
    code = processes["other"].wait(timeout=180)
    records = [record for record in read_records(folder / "other" / "trials.jsonl") if record.kind == "network"]
    trained = len(list(marks.glob("toy-*")))
    by_victim = sum(str(processes["victim"].pid) in record.supervisor for record in records)
    return {
        "exact": float(code == 0 and len(records) == TRIALS and all(record.state == "complete" for record in records)),
        "different": float(len({str(sorted(record.params.items())) for record in records}) == len(records)),
        "again": trained - TRIALS,
        "by_victim": by_victim,
        "seconds": time.monotonic() - begun,
        "after_kill": time.monotonic() - killed,
    }


def main() -> None:
    """Repeat and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Two repetitions instead of ten.")
    repetitions = 2 if parser.parse_args().quick else 10
    if reason := study_postgresql.why_not():
        sys.exit(f"skipped: {reason}")
    server = study_postgresql.Server()
    results = []
    try:
        for seed in range(repetitions):
            with tempfile.TemporaryDirectory() as folder:
                results.append(repeat(server, Path(folder), random.Random(seed)))
            print(seed, {key: round(value, 1) for key, value in results[-1].items()}, flush=True)
    finally:
        server.close()
    exact = sum(result["exact"] * result["different"] for result in results)
    print(f"trained again because it was in flight: {sum(result['again'] for result in results):.0f} trials in all")
    after_kill = statistics.median(result["after_kill"] for result in results)
    print(f"seconds from the kill to the end, median: {after_kill:.1f}")
    print(f"storage: {exact:.0f} of {repetitions} studies of {TRIALS} networks exact after a kill")


if __name__ == "__main__":
    main()
