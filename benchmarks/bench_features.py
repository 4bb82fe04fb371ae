"""Time HOG and LBP against other libraries, in the same run.

    python benchmarks/bench_features.py [--quick] [--out benchmarks/results/features.json]

Everything runs on one thread, on crops of photographs. Before the timing, the features are compared
with those of scikit-image; OpenCV and mahotas define theirs differently. A ratio compares the two
times of one round; the table shows its median and minimum over the rounds. Libraries that are not
installed are left out, with a message.
"""

import argparse
import importlib.util
import os
import statistics
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from harness import (
    Candidate,
    add_options,
    describe,
    print_machine,
    race,
    resident_megabytes,
    save,
    time_first_calls,
)
from numpy.typing import NDArray
from skimage.data import astronaut, camera
from skimage.feature import hog, local_binary_pattern

from imgfeat import HOG, LBP

RESULTS = Path(__file__).parent / "results" / "features.json"
HOG_TOLERANCE = 1e-6
# LBP codes differ from scikit-image's only at ties, which its rounding breaks arbitrarily.
LBP_TOLERANCE = 1e-3
FLAT_MEGABYTES = 20.0
SLOW_PEER_IMAGES = 4

FIRST_CALLS = """
import time
import numpy as np
from imgfeat import HOG, LBP
images = np.zeros((1, 64, 64), np.uint8)
for extractor in (HOG(), LBP()):
    start = time.perf_counter()
    extractor.transform(images)
    print(type(extractor).__name__, time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Parameters
    ----------
    name, peer : str
    images : ndarray of shape (n, h, w) or (n, h, w, 3)
    extractor : HOG or LBP
        Called with all images at once.
    peer_run : callable
        The other library's function, called with one image.
    target : float or None
        Goal for the ratio of times.
    tolerance : float or None
        Largest allowed difference of the features; None if the other library defines them
        differently.
    """

    name: str
    images: NDArray[Any]
    extractor: HOG | LBP
    peer: str
    peer_run: Callable[[NDArray[Any]], Any]
    target: float | None
    tolerance: float | None


def crop(height: int, width: int, n: int, color: bool = False, seed: int = 0) -> NDArray[np.uint8]:
    """Cut `n` crops from scikit-image's camera (grey) or astronaut (colour)."""
    photograph = astronaut() if color else camera()
    rng = np.random.default_rng(seed)
    tops = rng.integers(0, photograph.shape[0] - height + 1, n)
    lefts = rng.integers(0, photograph.shape[1] - width + 1, n)
    return np.stack(
        [photograph[y : y + height, x : x + width] for y, x in zip(tops, lefts, strict=True)]
    )


def hog_cases(n: int) -> list[Case]:
    """Return the cases of HOG; OpenCV is included if its wheel has HOGDescriptor."""
    settings: list[tuple[str, NDArray[Any], dict[str, Any], float]] = [
        ("128x64", crop(128, 64, n), {}, 60),
        ("224x224", crop(224, 224, n), {}, 70),
        ("32x32", crop(32, 32, 16 * n), {}, 40),
        ("128x64 colour", crop(128, 64, n, color=True), {}, 20),
        ("128x64 L1", crop(128, 64, n), {"block_norm": "L1"}, 20),
        ("128x64 L1-sqrt", crop(128, 64, n), {"block_norm": "L1-sqrt"}, 20),
        ("128x64 L2", crop(128, 64, n), {"block_norm": "L2"}, 20),
        ("128x64 transform_sqrt", crop(128, 64, n), {"transform_sqrt": True}, 20),
        ("128x64 cells of 16x16", crop(128, 64, n), {"pixels_per_cell": 16}, 20),
        ("128x64 float64", crop(128, 64, n) / 255, {}, 20),
    ]
    cases = [
        Case(f"HOG {name}", images, HOG(**options), "scikit-image", skimage_hog(images, options),
             target, HOG_TOLERANCE)
        for name, images, options, target in settings
    ]  # fmt: skip
    descriptor = getattr(cv2, "HOGDescriptor", None)
    if descriptor is None:
        return cases
    for name, images, _, _ in settings[:2]:
        height, width = images.shape[1:3]
        run = descriptor((width, height), (16, 16), (8, 8), (8, 8), 9).compute
        cases.append(Case(f"HOG {name}", images, HOG(), "OpenCV", run, 4, None))
    return cases


def skimage_hog(images: NDArray[Any], options: dict[str, Any]) -> Callable[[NDArray[Any]], Any]:
    cell = options.get("pixels_per_cell", 8)
    arguments = {
        "pixels_per_cell": (cell, cell),
        "cells_per_block": (2, 2),
        "block_norm": options.get("block_norm", "L2-Hys"),
        "transform_sqrt": options.get("transform_sqrt", False),
        "channel_axis": -1 if images.ndim == 4 else None,
    }
    return lambda image: hog(image, orientations=9, **arguments)


def lbp_cases(n: int) -> list[Case]:
    """Return the cases of LBP; mahotas is included if it is installed."""
    images = crop(224, 224, n)
    # Random grey levels between the 8-bit ones: with 8-bit levels divided by 255, so many pixels
    # are tied that scikit-image's rounding changes 1 % of the codes.
    dithered = (images + np.random.default_rng(0).random(images.shape)) / 256
    settings: list[tuple[str, NDArray[Any], LBP, float | None]] = [
        ("(8, 1)", images, LBP(), 80),
        ("(16, 2)", images, LBP(16, 2), 30),
        ("(8, 1) grid=4", images, LBP(grid=4), 30),
        ("(8, 1) float64", dithered, LBP(), 10),
        ("(8, 1) var", images, LBP(method="var"), None),
    ]
    cases = [
        Case(f"LBP {name} 224x224", pixels, lbp, "scikit-image", skimage_lbp(lbp), target,
             LBP_TOLERANCE)
        for name, pixels, lbp, target in settings
    ]  # fmt: skip
    if importlib.util.find_spec("mahotas"):
        from mahotas.features import lbp as mahotas_lbp

        run = partial(mahotas_lbp, radius=1, points=8)
        cases.append(Case("LBP (8, 1) 224x224", images, LBP(), "mahotas", run, 120, None))
    return cases


def skimage_lbp(lbp: LBP) -> Callable[[NDArray[Any]], Any]:
    # Explicit edges: with a number of bins and a range, numpy takes four times as long here.
    edges = np.arange(lbp.n_points + 3, dtype=float)
    if lbp.method == "var":
        edges = np.concatenate([[0], 2.0 ** np.arange(14), [2.0**17]])

    def run(image: NDArray[Any]) -> NDArray[np.floating]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Applying `local_binary_pattern` to floating-point")
            labels = local_binary_pattern(image, lbp.n_points, lbp.radius, lbp.method)
        rows = np.array_split(np.nan_to_num(labels) if lbp.method == "var" else labels, lbp.grid)
        cells = [cell for row in rows for cell in np.array_split(row, lbp.grid, axis=1)]
        return np.concatenate([np.histogram(cell, edges)[0] / cell.size for cell in cells])

    return run


def run_case(case: Case, repeats: int) -> dict[str, Any]:
    """Check that the features are equal, then time; exit if they are not."""
    n_peer = len(case.images) if case.peer == "OpenCV" else SLOW_PEER_IMAGES
    sample = case.images[:n_peer]
    difference = None
    if case.tolerance is not None:
        theirs = np.stack([case.peer_run(image) for image in sample])
        difference = float(np.abs(case.extractor.transform(sample) - theirs).max())
        if not difference <= case.tolerance:
            raise SystemExit(
                f"{case.name}: differs from {case.peer} by {difference:.2e}, more than "
                f"{case.tolerance:.0e}; not timed."
            )
    seconds = race(
        [
            Candidate("imgfeat", partial(case.extractor.transform, case.images)),
            Candidate(case.peer, lambda: [case.peer_run(image) for image in sample]),
        ],
        repeats,
    )
    counts = {"imgfeat": len(case.images), case.peer: len(sample)}
    times = {name: [1e6 * s / counts[name] for s in seconds[name]] for name in counts}
    ratios = [b / a for a, b in zip(times["imgfeat"], times[case.peer], strict=True)]
    return {
        "case": case.name,
        "peer": case.peer,
        "images": counts,
        "us_per_image": times,
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "target": case.target,
        "max_difference": difference,
        "tolerance": case.tolerance,
    }


def print_result(result: dict[str, Any]) -> None:
    own, other = (statistics.median(times) for times in result["us_per_image"].values())
    target = "-" if result["target"] is None else f"{result['target']:g}"
    difference = result["max_difference"]
    remark = "time only, defined differently" if difference is None else f"{difference:.1e}"
    print(
        f"{result['case']:26} {own:10.1f} {result['peer']:>13} {other:10.1f} "
        f"{result['ratio_median']:8.1f} {result['ratio_min']:8.1f} {target:>7}  {remark}",
        flush=True,
    )


def measure_threads(n: int, repeats: int) -> list[dict[str, Any]]:
    """Time two threads against one; the features must be identical."""
    if (os.cpu_count() or 1) < 2:
        print("threads: skipped, this machine has one core")
        return []
    images = crop(224, 224, n)
    results = []
    for extractor in (HOG, LBP):
        one, two = extractor(n_jobs=1), extractor(n_jobs=2)
        name = extractor.__name__
        if not np.array_equal(one.transform(images), two.transform(images)):
            raise SystemExit(
                f"{name}: features with two threads differ from those with one; not timed."
            )
        seconds = race(
            [
                Candidate("n_jobs=1", partial(one.transform, images)),
                Candidate("n_jobs=2", partial(two.transform, images)),
            ],
            repeats,
        )
        speedup = [a / b for a, b in zip(seconds["n_jobs=1"], seconds["n_jobs=2"], strict=True)]
        median = statistics.median(speedup)
        print(f"threads: {name} on {n} images of 224x224: {median:.2f} times (target 1.8)")
        results.append(
            {"case": name, "images": n, "seconds": seconds, "ratio_median": median, "target": 1.8}
        )
    return results


def measure_memory(n: int, size: int = 64) -> list[dict[str, Any]]:
    """Transform `n` images in batches; compare resident memory at a tenth and at the end."""
    if resident_megabytes() is None:
        print("memory: skipped, this system has no /proc")
        return []
    batch = min(256, n // 10)
    results = []
    for extractor in (HOG(), LBP()):
        early = None
        for start in range(0, n, batch):
            extractor.transform(crop(size, size, min(batch, n - start), seed=start))
            if early is None and start + batch >= n // 10:
                early = resident_megabytes()
        late = resident_megabytes()
        assert early is not None
        assert late is not None
        name, flat = type(extractor).__name__, late - early < FLAT_MEGABYTES
        print(
            f"memory: {name} over {n} images of {size}x{size}: {early:.0f} MB after a tenth, "
            f"{late:.0f} MB at the end ({'flat' if flat else 'NOT FLAT'})"
        )
        results.append(
            {"case": name, "images": n, "early_mb": early, "late_mb": late, "flat": flat}
        )
    return results


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time HOG and LBP against other libraries.")
    add_options(parser, RESULTS, "quick check: few images, few rounds")
    options = parser.parse_args(argv)
    n, repeats, n_threads, n_stream = (4, 2, 16, 200) if options.quick else (64, 9, 512, 20_000)

    environment = describe()
    print_machine(environment)
    print(
        f"\n{'case':26} {'imgfeat us':>10} {'peer':>13} {'peer us':>10} "
        f"{'ratio':>8} {'min':>8} {'target':>7}  max difference"
    )
    cases = []
    for case in hog_cases(n) + lbp_cases(n):
        cases.append(run_case(case, repeats))
        print_result(cases[-1])
    if not hasattr(cv2, "HOGDescriptor"):
        print("no OpenCV HOG: OpenCV 5's wheels lack it; pip install 'opencv-python-headless<5'")
    if not importlib.util.find_spec("mahotas"):
        print("no mahotas: pip install mahotas")
    print()
    payload = {
        "environment": environment,
        "quick": options.quick,
        "cases": cases,
        "threads": measure_threads(n_threads, repeats),
        "memory": measure_memory(n_stream),
        "first_call_seconds": None if options.quick else time_first_calls(FIRST_CALLS),
    }
    save(options, RESULTS, payload)


if __name__ == "__main__":
    main()
