"""Training of networks: features that are kept, and the throughput of an epoch.

    python benchmarks/bench_training.py [--quick] [--device DEVICE] [--out FILE]

The first part trains a new classifier on a frozen network, with its features computed in every
epoch and with features computed once, and compares the seconds of an epoch after the first, and the
probabilities of the two classifiers. The second part trains all layers on photographs from JPEG
files, with CNNClassifier and with a loop written by hand in torch: the same network, optimiser,
batches and augmentation, on images decoded once. They take turns. A third loop decodes the files in
every epoch, as a plain data set of torch does. On the CPU, torch has one thread.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness import describe, write_results
from PIL import Image

from imgfeat import CNNClassifier, ImageLoader
from imgfeat.backbones import load_backbone
from imgfeat.images.samples import sample_images
from imgfeat.training.augment import build_augmentation

RESULTS = Path(__file__).parent / "results" / "training.json"
AUGMENT = "standard"
OPTIONS: dict[str, Any] = {
    "validation_fraction": None, "early_stopping": False, "random_state": 0, "verbose": 0,
    "scheduler": None, "precision": "fp32",
}  # fmt: skip
MIN_KEPT_RATIO = 5.0
MIN_SHARE_OF_LOOP = 0.95
MAX_DIFFERENCE = 1e-3


def measure_kept_features(n: int, size: int, device: str) -> dict[str, Any]:
    """Train a classifier on a frozen network in both ways; return times and differences."""
    images = sample_images(n, (size, size, 3))
    labels = np.arange(n) % 2
    options = OPTIONS | {"image_size": size, "device": device, "max_epochs": 4}
    kept, computed = (
        CNNClassifier(keep_features=keep, **options).fit(images, labels) for keep in (True, False)
    )
    seconds = {
        name: model.history_["seconds"].tolist()[1:]
        for name, model in (("kept", kept), ("computed", computed))
    }
    difference = np.abs(kept.predict_proba(images) - computed.predict_proba(images)).max()
    ratio = statistics.median(seconds["computed"]) / statistics.median(seconds["kept"])
    print(f"features kept: an epoch is {ratio:.0f} times as fast, probabilities differ by "
          f"{difference:.1e}")  # fmt: skip
    return {
        "n_images": n, "size": size, "seconds": seconds, "ratio": ratio,
        "target": MIN_KEPT_RATIO, "max_difference": float(difference),
        "tolerance": MAX_DIFFERENCE,
    }  # fmt: skip


def write_photographs(folder: Path, n: int) -> list[str]:
    """Write crops of photographs as JPEG files of 320 x 240 pixels."""
    paths = []
    for i, image in enumerate(sample_images(n, (240, 320, 3))):
        paths.append(str(folder / f"{i:04}.jpg"))
        Image.fromarray(image).save(paths[-1], quality=90)
    return paths


def train_by_hand(
    load: Callable[[np.ndarray], np.ndarray], n: int, size: int, batch_size: int, device: str
) -> float:
    """Train an epoch in plain torch, after one batch that is not timed; return its seconds."""
    backbone = load_backbone("efficientnet_lite0", "pretrained")
    network = backbone.module.to(device).to(memory_format=torch.channels_last)
    network.reset_classifier(2)
    network.to(device).requires_grad_(True).train()
    augmentation = build_augmentation(AUGMENT, (size, size, 3))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-4)
    mean, std = (
        torch.tensor(values, device=device).reshape(1, 3, 1, 1)
        for values in (backbone.mean, backbone.std)
    )
    labels = torch.arange(n, device=device) % 2

    def step(rows: np.ndarray) -> float:
        images = torch.from_numpy(load(rows)).to(device).permute(0, 3, 1, 2).float() / 255
        pixels = (augmentation(images) - mean) / std
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(pixels), labels[rows])
        loss.backward()
        optimizer.step()
        return loss.item()

    batches = np.array_split(np.random.default_rng(0).permutation(n), -(-n // batch_size))
    step(batches[0])
    start = time.perf_counter()
    for rows in batches:
        step(rows)
    return time.perf_counter() - start


def train_ours(images: np.ndarray, size: int, batch_size: int, device: str) -> float:
    """Return the seconds of the second epoch of CNNClassifier."""
    model = CNNClassifier(
        unfreeze="all", augment=AUGMENT, image_size=size, batch_size=batch_size, device=device,
        max_epochs=2, **OPTIONS,
    )  # fmt: skip
    return model.fit(images, np.arange(len(images)) % 2).history_["seconds"].iloc[-1]


def measure_throughput(
    paths: list[str], size: int, batch_size: int, repeats: int, device: str
) -> dict[str, Any]:
    """Time an epoch of each loop, in turns."""
    loader = ImageLoader(size)
    start = time.perf_counter()
    images = loader.fit_transform(paths)
    decoding = time.perf_counter() - start
    n = len(paths)
    files = np.array(paths)
    loops: dict[str, Callable[[], float]] = {
        "imgfeat": lambda: train_ours(images, size, batch_size, device),
        "plain loop": lambda: train_by_hand(images.__getitem__, n, size, batch_size, device),
        "plain loop, files read in every epoch": lambda: train_by_hand(
            lambda rows: loader.transform(files[rows].tolist()), n, size, batch_size, device
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(repeats):
        for name, run in loops.items():
            seconds[name].append(run())
    shares = [
        plain / ours for plain, ours in zip(seconds["plain loop"], seconds["imgfeat"], strict=True)
    ]
    for name, values in seconds.items():
        print(f"{name:40} {n / statistics.median(values):8.1f} images a second")
    print(f"share of the plain loop: {statistics.median(shares):.3f}")
    return {
        "n_images": n, "size": size, "batch_size": batch_size, "seconds": seconds,
        "decoding_seconds": decoding, "share_median": statistics.median(shares),
        "share_min": min(shares), "target": MIN_SHARE_OF_LOOP,
    }  # fmt: skip


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time the training of networks.")
    parser.add_argument("--quick", action="store_true", help="quick check: few small images")
    parser.add_argument("--device", default="cpu", help="of torch: cpu or cuda (default cpu)")
    parser.add_argument("--out", type=Path, help=f"default {RESULTS}, not written with --quick")
    options = parser.parse_args(argv)
    n, size, batch_size, repeats = (24, 64, 8, 2) if options.quick else (192, 128, 16, 5)
    if options.device != "cpu" and not options.quick:
        n, size, batch_size = 2048, 224, 64
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_photographs(Path(folder), n)
        payload = {
            "environment": describe(),
            "quick": options.quick,
            "device": options.device,
            "kept_features": measure_kept_features(n, size, options.device),
            "throughput": measure_throughput(paths, size, batch_size, repeats, options.device),
        }
    torch.set_num_threads(n_threads)
    out = options.out or (None if options.quick else RESULTS)
    if out is not None:
        write_results(out, payload)
        print(f"written to {out}")


if __name__ == "__main__":
    main()
