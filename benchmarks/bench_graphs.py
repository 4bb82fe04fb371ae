"""Time the ONNX graphs of HOG and LBP against scikit-image and against imgfeat's own kernels.

    python benchmarks/bench_graphs.py [--quick] [--out benchmarks/results/graphs.json]

Everything runs on one thread, on crops of photographs, after the features have been compared. With
batch 1, each call has one image. A ratio compares the times of one round; the table shows its
median over the rounds. Goals: at least 8 times faster than scikit-image, at most 8 times slower
than the kernels.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skl2onnx
from bench_features import HOG_TOLERANCE, LBP_TOLERANCE, crop, skimage_hog, skimage_lbp
from harness import Candidate, add_options, describe, print_machine, race, save
from numpy.typing import NDArray
from skl2onnx.common.data_types import UInt8TensorType

from imgfeat import HOG, LBP
from imgfeat._sessions import start_session
from imgfeat.export import register_converters

RESULTS = Path(__file__).parent / "results" / "graphs.json"
GOAL = 8.0
SLOW_PEER_IMAGES = 4


@dataclass(frozen=True)
class Case:
    """One extractor on images of one size; `has_goal` tells whether the goals apply.

    `tolerance` bounds the differences to scikit-image. Its rounding breaks ties of LBP arbitrarily,
    and there are more ties if fewer sampling points are at pixel centres.
    """

    name: str
    extractor: Any
    tolerance: float
    size: tuple[int, int] = (128, 64)
    batches: tuple[int, ...] = (1, 64)
    color: bool = False
    has_goal: bool = False


CASES = [
    Case("HOG 128x64", HOG(), HOG_TOLERANCE, has_goal=True),
    Case("LBP (8, 1) 128x64", LBP(), LBP_TOLERANCE, has_goal=True),
    Case("HOG 64x64", HOG(), HOG_TOLERANCE, size=(64, 64)),
    Case("LBP (8, 1) 64x64", LBP(), LBP_TOLERANCE, size=(64, 64)),
    Case("HOG 128x64 colour", HOG(), HOG_TOLERANCE, color=True),
    Case("LBP (8, 1) grid=4 128x64", LBP(grid=4), LBP_TOLERANCE),
    Case("LBP (8, 2) 128x64", LBP(8, 2), 5 * LBP_TOLERANCE),
]


def open_graph(extractor: Any, images: NDArray[np.uint8]) -> tuple[Callable, int]:
    """Return the extractor's graph as a function on one thread, and its size in bytes."""
    types = [("images", UInt8TensorType([None, *images.shape[1:]]))]
    model = skl2onnx.to_onnx(extractor, initial_types=types).SerializeToString()
    session = start_session(model, extra="export")
    return lambda batch: session.run(None, {"images": batch})[0], len(model)


def run_batches(run: Callable, images: NDArray[np.uint8], batch: int) -> NDArray[np.float32]:
    """Run on the images, `batch` at a time."""
    return np.concatenate(
        [run(images[start : start + batch]) for start in range(0, len(images), batch)]
    )


def check(case: str, rows: NDArray[Any], expected: NDArray[Any], bound: float, peer: str) -> float:
    """Return the largest difference of the features; exit if it is too large."""
    difference = float(np.abs(rows - expected).max())
    if not difference <= bound:
        raise SystemExit(
            f"{case}: differs from {peer} by {difference:.2e}, more than {bound:.0e}; not timed."
        )
    return difference


def run_case(case: Case, batch: int, n: int, repeats: int) -> dict[str, Any]:
    """Compare the features, then time graph, kernel and scikit-image."""
    images = crop(*case.size, n, color=case.color)
    extractor = case.extractor.fit(images)
    graph, size = open_graph(extractor, images)
    is_hog = isinstance(extractor, HOG)
    peer = skimage_hog(images, {}) if is_hog else skimage_lbp(extractor)
    few = images[:SLOW_PEER_IMAGES]
    rows = run_batches(graph, images, batch)
    theirs = np.stack([peer(image) for image in few])
    differences = {
        "scikit-image": check(case.name, rows[: len(few)], theirs, case.tolerance, "scikit-image"),
        "kernel": check(case.name, rows, extractor.transform(images), HOG_TOLERANCE, "the kernel"),
    }
    seconds = race(
        [
            Candidate("graph", lambda: run_batches(graph, images, batch)),
            Candidate("kernel", lambda: run_batches(extractor.transform, images, batch)),
            Candidate("scikit-image", lambda: [peer(image) for image in few]),
        ],
        repeats,
    )
    counts = {"graph": n, "kernel": n, "scikit-image": len(few)}
    times = {name: [1e6 * s / counts[name] for s in seconds[name]] for name in counts}
    pairs = list(zip(*times.values(), strict=True))
    return {
        "case": case.name,
        "batch": batch,
        "us_per_image": times,
        "faster_than_scikit_image": statistics.median(peer / own for own, _, peer in pairs),
        "slower_than_kernel": statistics.median(own / kernel for own, kernel, _ in pairs),
        "goal": GOAL if case.has_goal else None,
        "max_difference": differences,
        "graph_bytes": size,
    }


def print_result(result: dict[str, Any]) -> None:
    own, kernel, peer = (statistics.median(times) for times in result["us_per_image"].values())
    faster, slower = result["faster_than_scikit_image"], result["slower_than_kernel"]
    outcome = "-"
    if result["goal"]:
        outcome = "met" if faster >= result["goal"] >= slower else "MISSED"
    print(
        f"{result['case']:26} {result['batch']:5} {own:9.1f} {kernel:9.1f} {peer:9.1f} "
        f"{faster:9.1f} {slower:9.1f}  {outcome:6} {result['graph_bytes'] / 1024:7.0f}",
        flush=True,
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time the ONNX graphs of HOG and LBP.")
    add_options(parser, RESULTS, "quick check: few images, few rounds")
    options = parser.parse_args(argv)
    register_converters()
    n, repeats = (4, 2) if options.quick else (64, 31)
    environment = describe()
    print_machine(environment)
    print()
    print(
        f"{'microseconds an image':26} {'batch':>5} {'graph':>9} {'kernel':>9} {'skimage':>9} "
        f"{'x faster':>9} {'x slower':>9}  {'goal':6} {'KB':>7}"
    )
    results = []
    for case in CASES:
        for batch in case.batches:
            results.append(run_case(case, batch, n, repeats))
            print_result(results[-1])
    payload = {"environment": environment, "quick": options.quick, "cases": results}
    save(options, RESULTS, payload)


if __name__ == "__main__":
    main()
