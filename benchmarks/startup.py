"""How long ``automl-pheno --help`` and ``check`` take to start, beside a Python that only imports TensorFlow.

python benchmarks/startup.py [--quick]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAIN = "import sys; from automl_pheno.cli import main; sys.exit(main({words!r}))"
SPACE = str(ROOT / "search_spaces" / "cnn.yaml")
CASES = {
    "python alone": "pass",
    "automl-pheno --help": MAIN.format(words=["--help"]),
    "automl-pheno check cnn.yaml": MAIN.format(words=["check", SPACE]),
    "import automl_pheno": "import automl_pheno",
    "import tensorflow": "import tensorflow",
}


def seconds(code: str) -> float:
    """Return the wall-clock seconds of a fresh process that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the median and the fastest of several starts of each case."""
    repeats = 3 if "--quick" in sys.argv else 9
    medians = {}
    print(f"{'':30} {'median':>8} {'fastest':>8}   seconds, {repeats} starts each")
    for name, code in CASES.items():
        seconds(code)  # the first start also reads the files from the disk
        times = [seconds(code) for _ in range(repeats)]
        medians[name] = statistics.median(times)
        print(f"{name:30} {medians[name]:8.3f} {min(times):8.3f}")
    slowest = max(medians["automl-pheno --help"], medians["automl-pheno check cnn.yaml"])
    print(f"startup_budget: {1.0 / slowest:.2f}")


if __name__ == "__main__":
    main()
