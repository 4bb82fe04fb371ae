"""Time CNNEmbedding on a GPU against typical timm code, and against a hand-tuned loop.

    python benchmarks/bench_gpu.py [--device cuda] [--out FILE]
    python benchmarks/bench_gpu.py --device cpu --quick     # check of the script itself

imgfeat and the plain loop start with uint8 arrays in host memory and end with features there; the
hand-tuned loop (bf16, channels last, compiled) has its images in GPU memory and leaves the features
there. Weights are pretrained if available, or else random, which takes the same time. The peak of
the GPU is the speed of a large bf16 matrix product in the same run. HOG and LBP run as graphs on
the GPU (onnxruntime-gpu) against their kernels on all CPU cores.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import Candidate, add_options, describe, race, save
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from imgfeat import HOG, LBP, BackboneError, CNNEmbedding
from imgfeat.backbones.backbone import Backbone, load_backbone
from imgfeat.images.samples import sample_images

RESULTS = Path(__file__).parent / "results" / "gpu.json"
NETWORKS = ("efficientnet_lite0", "timm:resnet50")
SMALL_NETWORK = "timm:test_resnet"
MIN_COSINE = 0.99
MAX_DIFFERENCE = 1e-5
LAST: dict[str, Any] = {"layers": "last", "pooling": "mean", "grid": 1}


def load(name: str) -> tuple[Backbone, str | None]:
    """Load a network, with random weights if the pretrained ones are not available."""
    try:
        return load_backbone(name, "pretrained"), "pretrained"
    except BackboneError:
        return load_backbone(name, None), None


def write_plainly(backbone: Backbone, device: torch.device, batch: int) -> Callable:
    """Return a typical loop: float32, NCHW, one batch after the other."""
    network = copy.deepcopy(backbone.module).to(device)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (backbone.mean, backbone.std))

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = []
        for start in range(0, len(images), batch):
            pixels = torch.from_numpy(images[start : start + batch]).permute(0, 3, 1, 2)
            pixels = ((pixels.float() / 255 - mean) / std).to(device)
            with torch.inference_mode():
                features = network.forward_features(pixels).mean(dim=(2, 3))
            rows.append(features.cpu().numpy())
        return np.concatenate(rows)

    return run


def tune_by_hand(backbone: Backbone, device: torch.device, batch: int, size: int) -> Callable:
    """Return a compiled bf16 loop in channels-last layout, on images in device memory."""
    network = copy.deepcopy(backbone.module)
    network.to(device, torch.bfloat16, memory_format=torch.channels_last)
    compiled = torch.compile(lambda x: network.forward_features(x).mean(dim=(2, 3)))
    pixels = torch.randn(batch, 3, size, size, device=device, dtype=torch.bfloat16)
    pixels = pixels.contiguous(memory_format=torch.channels_last)

    def run(images: NDArray[np.uint8]) -> None:
        with torch.inference_mode():
            for _ in range(0, len(images), batch):
                compiled(pixels)
        synchronise(device)

    return run


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_peak(device: torch.device, n: int) -> float:
    """Return floating-point operations per second of a product of two n x n bf16 matrices."""
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        synchronise(device)
        start = time.perf_counter()
        a @ b
        synchronise(device)
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best


def count_operations(backbone: Backbone, size: int) -> int:
    """Return the floating-point operations for one image."""
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode():
        backbone.module.forward_features(torch.zeros(1, 3, size, size))
    return counter.get_total_flops()


def run_case(name: str, device: torch.device, quick: bool, peak: float) -> dict[str, Any]:
    """Time all candidates with one network; exit if imgfeat's features differ from timm's."""
    n, batch, repeats, size = (6, 2, 1, 64) if quick else (4096, 256, 5, 224)
    backbone, weights = load(name)
    images = np.concatenate([sample_images(min(n, 64), (size, size, 3))] * -(-n // 64))[:n]
    options: dict[str, Any] = {
        "backbone": name, "weights": weights, "image_size": size, "engine": "torch",
        "device": str(device), "batch_size": batch, **LAST,
    }  # fmt: skip
    eager = CNNEmbedding(**options).fit(images)
    compiled = CNNEmbedding(**options, compile=True).fit(images)
    plain = write_plainly(backbone, device, batch)
    expected = plain(images[:batch])
    cosines = {}
    for kind, embedding in (("eager", eager), ("compiled", compiled)):
        found = embedding.transform(images[:batch])
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
        cosines[kind] = float(((found * expected).sum(axis=1) / norms).min())
        if not cosines[kind] >= MIN_COSINE:
            raise SystemExit(f"{name}, {kind}: cosine similarity {cosines[kind]:.4f}; not timed.")
    runs = {
        "timm eager fp32": plain,
        "hand-tuned, data on the device": tune_by_hand(backbone, device, batch, size),
        "imgfeat": eager.transform,
        "imgfeat compiled": compiled.transform,
    }
    candidates = [Candidate(kind, partial(run, images)) for kind, run in runs.items()]
    seconds = race(candidates, repeats, one_thread=False)
    speeds = {kind: n / statistics.median(times) for kind, times in seconds.items()}
    operations = count_operations(backbone, size)
    for kind, speed in speeds.items():
        print(
            f"{name:20} {kind:32} {speed:10,.0f} images/s  {speed / speeds['timm eager fp32']:6.2f}"
            f" x eager  {speed / speeds['hand-tuned, data on the device']:6.2f} x tuned  "
            f"{100 * speed * operations / peak:5.1f} % of peak",
            flush=True,
        )
    return {
        "network": name,
        "weights": weights or "random",
        "images": n,
        "batch": batch,
        "seconds": seconds,
        "images_per_second": speeds,
        "share_of_peak": {kind: s * operations / peak for kind, s in speeds.items()},
        "cosine_min": cosines,
        "targets": {"x eager": 6, "x tuned": 0.9},
    }


def race_graphs(device: str, n: int, repeats: int) -> list[dict[str, Any]]:
    """Time HOG and LBP on a GPU against their kernels on all cores; exit if they differ."""
    images = np.concatenate([sample_images(min(n, 64), (128, 64, 3))] * -(-n // 64))[:n, ..., 1]
    results: list[dict[str, Any]] = []
    for kind in (HOG, LBP):
        card, kernel = kind(device=device), kind(n_jobs=-1)
        try:
            difference = float(np.abs(card.transform(images) - kernel.transform(images)).max())
        except ValueError as error:
            print(f"not timed: {error}")
            return results
        if not difference <= MAX_DIFFERENCE:
            raise SystemExit(f"{card}: differs from the kernel by {difference:.1e}; not timed.")
        candidates = [
            Candidate("card", partial(card.transform, images)),
            Candidate("kernel", partial(kernel.transform, images)),
        ]
        seconds = race(candidates, repeats, one_thread=False)
        speeds = {name: n / statistics.median(times) for name, times in seconds.items()}
        print(
            f"{kind.__name__:20} 128x64 {speeds['card']:12,.0f} images/s on the GPU "
            f"{speeds['kernel']:12,.0f} images/s by the kernel on all cores"
        )
        results.append(
            {
                "extractor": kind.__name__,
                "images": n,
                "seconds": seconds,
                "images_per_second": speeds,
                "max_difference": difference,
            }
        )
    return results


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time CNNEmbedding on a GPU.")
    parser.add_argument("--device", default="cuda")
    add_options(parser, RESULTS, "quick check: few small images")
    options = parser.parse_args(argv)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "No CUDA device found. Use --device cpu --quick to check the script itself."
        )
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    peak = measure_peak(device, 256 if options.quick else 8192)
    print(f"{card}, torch {torch.__version__}: {peak / 1e12:.1f} TFLOP/s in a bf16 product")
    networks = (SMALL_NETWORK,) if options.quick else NETWORKS
    # Compilation takes half a minute, which a quick check leaves out.
    with torch.compiler.set_stance("force_eager" if options.quick else "default"):
        cases = [run_case(name, device, options.quick, peak) for name in networks]
    if device.type == "cuda":
        graphs = race_graphs(options.device, 16_384, 5)
    else:
        graphs = []
        print("HOG and LBP: not timed, there is no GPU")
    payload = {
        "environment": describe(),
        "device": card,
        "peak_flops": peak,
        "quick": options.quick,
        "cases": cases,
        "graphs": graphs,
    }
    save(options, RESULTS, payload)


if __name__ == "__main__":
    main()
