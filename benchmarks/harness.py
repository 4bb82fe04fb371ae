"""Shared functions of the benchmark scripts: timing, memory, environment, and result files."""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from threadpoolctl import threadpool_limits


@dataclass(frozen=True)
class Candidate:
    """One of the functions that are timed against each other.

    Parameters
    ----------
    name : str
    run : callable without arguments
        The function to be timed.
    """

    name: str
    run: Callable[[], object]


def race(
    candidates: Sequence[Candidate], repeats: int, warmup: int = 1, *, one_thread: bool = True
) -> dict[str, list[float]]:
    """Time candidates that take turns, so that a slow phase of the machine affects all of them.

    Parameters
    ----------
    candidates : sequence of Candidate
    repeats : int
        Number of timed rounds; each candidate runs once a round.
    warmup : int, default=1
        Number of rounds before that, which are not timed.
    one_thread : bool, default=True
        Limit BLAS, OpenMP and OpenCV to one thread.

    Returns
    -------
    seconds : dict of str to list of float
        One time per round for each candidate, in the order of the rounds.
    """
    seconds: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    with single_threaded() if one_thread else contextlib.nullcontext():
        for _ in range(warmup):
            for candidate in candidates:
                candidate.run()
        for _ in range(repeats):
            for candidate in candidates:
                start = time.perf_counter()
                candidate.run()
                seconds[candidate.name].append(time.perf_counter() - start)
    return seconds


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Limit BLAS, OpenMP and OpenCV to one thread."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(before)


def resident_megabytes() -> float | None:
    """Return the resident memory of this process, or None on systems without /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_megabytes() -> float:
    """Return the peak resident memory of this process, or NaN on systems without /proc.

    The peak of getrusage includes that of the parent process before fork.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def time_first_calls(program: str) -> dict[str, dict[str, float]]:
    """Run a program in new processes: with an empty numba cache, then with the filled one.

    Parameters
    ----------
    program : str
        Python code that prints lines with a name and a number of seconds.

    Returns
    -------
    seconds : dict
        The printed numbers by name, under "empty" and "filled".
    """
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("empty", "filled"):
            output = subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "NUMBA_CACHE_DIR": folder},
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
            pairs = (line.split() for line in output.splitlines())
            seconds[cache] = {name: float(value) for name, value in pairs}
            times = ", ".join(f"{name} {value:.2f} s" for name, value in seconds[cache].items())
            print(f"first call, {cache} numba cache: {times}")
    return seconds


def describe() -> dict[str, Any]:
    """Return commit, versions of the packages and the machine."""
    from imgfeat._environment import describe_environment

    return describe_environment()


def print_machine(environment: dict[str, Any]) -> None:
    """Print one line about the machine, from what `describe` returns."""
    print("machine: " + ", ".join(f"{k} {v}" for k, v in environment["machine"].items()))


def add_options(parser: argparse.ArgumentParser, default: Path, quick: str) -> None:
    """Add the options that all scripts have: --quick with its help, and --out."""
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--out", type=Path, help=f"default {default}, not written with --quick")


def choose_out(options: argparse.Namespace, default: Path) -> Path | None:
    """Return the result file: that of --out, else the default; None with --quick alone."""
    return options.out or (None if options.quick else default)


def save(options: argparse.Namespace, default: Path, payload: dict[str, Any]) -> None:
    """Write the result file, if there is to be one, and print its path."""
    out = choose_out(options, default)
    if out is not None:
        write_results(out, payload)
        print(f"written to {out}")


def write_results(path: Path, payload: dict[str, Any]) -> None:
    """Write `payload` as JSON; the file is replaced atomically.

    Parameters
    ----------
    path : Path
        Path of the file; its folder is created if it does not exist.
    payload : dict
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False
    ) as file:
        try:
            json.dump(payload, file, indent=1)
            file.write("\n")
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
