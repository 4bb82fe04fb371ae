"""Fuzz all file formats for a given time: ``python -m fuzz [SECONDS] [SEED]``."""

import importlib
import sys
import time

import numpy as np

KINDS = ("images", "model_files", "onnx_files", "studies")


def main(seconds: float, seed: int) -> None:
    """Fuzz each format for an equal part of the time, and print the number of each outcome."""
    for kind in KINDS:
        module = importlib.import_module(f"{__package__}.{kind}")
        outcomes = module.fuzz(np.random.default_rng(seed), time.monotonic() + seconds / len(KINDS))
        print(kind, dict(outcomes), flush=True)


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else 600,
        int(sys.argv[2]) if len(sys.argv) > 2 else 0,
    )
