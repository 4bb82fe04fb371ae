"""Time and memory of Batched on 100,000 images, and again with 1 % new images and a cache.

    python benchmarks/bench_streaming.py [--quick] [--images N] [--jobs N] [--out FILE]

The images are crops of photographs, 96 x 96 pixels in colour, made when Batched reads them; all
together they would take 2.8 GB. Batched computes HOG and LBP and writes a .npy file. Each step runs
in its own process, for its peak memory: without a cache, with an empty one, and with a filled one,
where 1 % of the images are new.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import add_options, describe, peak_megabytes, save, single_threaded
from numpy.typing import NDArray
from skimage.data import astronaut, chelsea, coffee
from sklearn.pipeline import FeatureUnion, make_pipeline

from imgfeat import HOG, LBP, Batched, ImageLoader

RESULTS = Path(__file__).parent / "results" / "streaming.json"
SIDE = 96
STEPS = ("no cache", "empty cache", "1 % new")


class Windows:
    """A sequence of crops of photographs, each made when it is read."""

    def __init__(self, start: int, stop: int):
        self.start = start
        self.stop = stop
        self.pictures = [astronaut(), chelsea(), coffee()]

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, place: int) -> NDArray[np.uint8]:
        # The primes spread the positions; the brightness differs for crops at the same position.
        number = self.start + place
        picture = self.pictures[number % 3]
        height, width = (size - SIDE for size in picture.shape[:2])
        y, x = number * 7919 % height, number * 104729 % width
        window = picture[y : y + SIDE, x : x + SIDE].astype(np.uint16)
        return (window * (200 + number // 1000) // 320).astype(np.uint8)


def stream(step: str, folder: Path, n_images: int, n_jobs: int) -> dict[str, Any]:
    """Run one step in this process, and return its time and memory."""
    n_new = n_images // 100
    images = Windows(n_new, n_images + n_new) if step == STEPS[2] else Windows(0, n_images)
    union = FeatureUnion([("hog", HOG()), ("lbp", LBP())])
    chain = make_pipeline(ImageLoader(64, color="gray"), union)
    batches = Batched(
        chain,
        n_jobs=n_jobs,
        memory=None if step == STEPS[0] else folder / "cache",
        out=folder / f"{step.replace(' ', '_')}.npy",
        progress=True,
    )
    batches.fit([images[0]])
    chain.fit_transform([images[0]])  # compile kernels
    before = peak_megabytes()
    start = time.perf_counter()
    rows = batches.transform(images)
    seconds = time.perf_counter() - start
    peak = peak_megabytes()
    for place in (0, len(images) // 2, len(images) - 1):
        np.testing.assert_array_equal(rows[place], chain.transform([images[place]])[0])
    return {
        "step": step,
        "seconds": seconds,
        "images_per_second": len(images) / seconds,
        "peak_megabytes": peak,
        "megabytes_before": before,
        "n_features": rows.shape[1],
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time and memory of Batched on many images.")
    add_options(parser, RESULTS, "quick check: 2,000 images")
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument(
        "--jobs", type=int, default=2, help="number of batches at the same time (default: 2)"
    )
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    n_images = 2000 if options.quick else options.images
    if options.one:
        step, folder = options.one
        with single_threaded():
            print(json.dumps(stream(step, Path(folder), n_images, options.jobs)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            sizes = ["--images", str(n_images), "--jobs", str(options.jobs)]
            command = [sys.executable, __file__, "--one", step, folder, *sizes]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows.append(json.loads(output))
            print(
                f"{step:12} {rows[-1]['seconds']:8.1f} s {rows[-1]['images_per_second']:8,.0f} "
                f"images/s  peak {rows[-1]['peak_megabytes']:,.0f} MB",
                flush=True,
            )
    share = rows[2]["seconds"] / rows[1]["seconds"]
    peak = max(row["peak_megabytes"] for row in rows)
    print(f"with 1 % new images: {share:.1%} of the time; peak {peak:,.0f} MB (goal: below 1,000)")
    payload = {"environment": describe(), "quick": options.quick, "n_images": n_images}
    save(options, RESULTS, payload | {"n_jobs": options.jobs, "rows": rows})


if __name__ == "__main__":
    main()
