"""Run the tests with the arithmetic of other processors: ``make test-processors``.

    python tests/processors.py [--setting NAME ...] [pytest arguments]

Results that are equal on one processor may differ in the last bits on another. Each setting runs in
its own process, with an empty kernel cache. ONNX Runtime has no option for its instruction set, so
the setting "emulated" runs under QEMU (Debian's package qemu-user), which emulates a processor
without AVX-512. It is several times slower, and runs only the files of NUMERICAL.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent
# Test files that compare numbers of several libraries.
NUMERICAL = [
    "batching", "cnn", "cnn_engines", "color", "compare", "early_stopping", "evaluate",
    "evaluate_intervals", "export", "export_any", "export_color", "export_heads",
    "export_heads_families", "export_heads_trees", "export_hog", "export_lbp", "export_texture",
    "export_words", "families", "fisher", "fusion", "gabor", "hog", "kernel_svm", "lbp",
    "local_features", "midpoints", "multilabel", "primal_svm", "texture", "tuning_kernels", "words",
]  # fmt: skip
# Test files that start processes and servers, or measure time; their numbers are tested elsewhere.
NOT_NUMERICAL = [
    "benchmarks",
    "cli",
    "readme",
    "tuning_cluster",
    "tuning_command",
    "without_extras",
]


def list_settings() -> dict[str, dict[str, str]]:
    """Return the environment variables of each setting."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return {
        "numba-generic": {"NUMBA_CPU_NAME": "generic"},
        "blas-haswell": {"OPENBLAS_CORETYPE": "Haswell"},
        "blas-skylakex": {"OPENBLAS_CORETYPE": "SkylakeX"},
        # The C library, NumPy, OpenCV and torch, each with its minimal instruction set.
        "oldest": {
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA",
            "NPY_DISABLE_CPU_FEATURES": " ".join(found),
            "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FMA3,FP16,AVX",
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
        },
        "two-threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
        "emulated": {},
    }


def build_command(setting: str, arguments: Sequence[str]) -> list[str] | None:
    """Return the command that runs the tests, or None if QEMU is needed but not installed."""
    command = [sys.executable, "-m", "pytest", "-q"]
    if setting == "emulated":
        emulator = shutil.which("qemu-x86_64")
        if emulator is None:
            return None
        command = [emulator, "-cpu", "max", *command, "-n", "0"]
        return [*command, *(arguments or _name(NUMERICAL))]
    ignored = [f"--ignore={path}" for path in _name(NOT_NUMERICAL)]
    return [*command, *(arguments or ["-n", "auto", str(TESTS), *ignored])]


def _name(stems: Sequence[str]) -> Iterator[str]:
    return (str(TESTS / f"test_{stem}.py") for stem in stems)


def run(setting: str, variables: dict[str, str], arguments: Sequence[str]) -> str:
    """Run the tests with one setting, and return the outcome."""
    command = build_command(setting, arguments)
    if command is None:
        return "not run: needs qemu-x86_64"
    print(f"{setting}: {variables}", flush=True)
    with tempfile.TemporaryDirectory(prefix="imgfeat-processors-") as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache, **variables}
        status = subprocess.run(command, env=environment, cwd=TESTS.parent, check=False).returncode
    return "passed" if status == 0 else f"FAILED ({status})"


def main(argv: Sequence[str] | None = None) -> int:
    """Run all settings, or those given by --setting; return 1 if one fails."""
    settings = list_settings()
    parser = argparse.ArgumentParser(
        description="Run the tests with the arithmetic of other processors."
    )
    parser.add_argument("--setting", action="append", choices=settings, help="default: all")
    options, arguments = parser.parse_known_args(argv)
    outcomes = {name: run(name, settings[name], arguments) for name in options.setting or settings}
    for name, outcome in outcomes.items():
        print(f"{name:14} {outcome}")
    return int(any(outcome.startswith("FAILED") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
