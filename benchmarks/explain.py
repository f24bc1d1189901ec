"""Speed of explanations beside what one would write or install instead.

python benchmarks/explain.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import platform

for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(variable, "1")  # the same for both sides
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from explain_deeplift import deeplift_speed
from explain_mutants import mutant_speed


def main() -> None:
    """Print every comparison and the headlines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread for each side")
    print(f"deeplift_speed: {deeplift_speed(quick=quick):.2f}")
    print(f"mutagenesis_speed: {mutant_speed(quick=quick):.2f}")


if __name__ == "__main__":
    main()
