"""Time CNNEmbedding on the CPU against typical torch code, in the same run.

    python benchmarks/bench_embedding.py [--quick] [--data DIR] [--out FILE]

Both have the same weights and images, and their features are compared before anything is timed. A
ratio compares the two times of one round; the table shows its median and minimum over the rounds.
`--data` is a folder with one subfolder per class (sign language digits were used), on which the
accuracy lost by int8 is measured, and the time from JPEG files to features. Without it, accuracy is
not measured, and the JPEG files are photographs of scikit-image.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from harness import Candidate, add_options, describe, print_machine, race, resident_megabytes, save
from numpy.typing import NDArray
from PIL import Image
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torchvision import transforms

from imgfeat import Batched, CNNEmbedding, ImageLoader
from imgfeat.backbones import lite0
from imgfeat.datasets import load_folder
from imgfeat.images.samples import sample_images

RESULTS = Path(__file__).parent / "results" / "embedding.json"
BATCH = 16
SIZE = 224
FLAT_MEGABYTES = 30.0
TOLERANCE = 1e-4
MIN_COSINE = 0.99
MAX_POINTS_LOST = 0.5

Features = NDArray[np.float32]


class Blocks(torch.nn.Module):
    """Mean and standard deviation over 2 x 2 cells of three blocks, in plain torch."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        network: Any = self.network
        x = network.bn1(network.conv_stem(pixels))
        features = []
        for s, stage in enumerate(network.blocks[:6]):
            x = stage(x)
            if s in (3, 4, 5):
                half = -(-x.shape[2] // 2)
                for rows in (slice(None, half), slice(x.shape[2] - half, None)):
                    for columns in (slice(None, half), slice(x.shape[3] - half, None)):
                        cell = x[:, :, rows, columns].flatten(2)
                        features += [cell.mean(2), cell.std(2, correction=0)]
        return torch.cat(features, dim=1)


class Pooled(torch.nn.Module):
    """The mean of the last feature map, as timm's models return it with num_classes=0."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        network: Any = self.network
        return network.global_pool(network.forward_features(pixels))


def write_plainly(model: torch.nn.Module, *, channels_last: bool = False) -> Callable:
    """Return a typical loop body: convert to float, normalise, run the network."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)

    def run(images: NDArray[np.uint8]) -> Features:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        with torch.inference_mode():
            return model((pixels.float() - 127) / 128).numpy()

    return run


CASES: list[tuple[str, dict[str, Any], type[torch.nn.Module]]] = [
    ("middle layers (default)", {}, Blocks),
    ("last layer", {"layers": "last", "pooling": "mean", "grid": 1}, Pooled),
]


def race_on_one_thread(repeats: int, size: int, n_cases: int) -> list[dict[str, Any]]:
    """Time onnxruntime against torch eager at batch 16, for the default and the last layer."""
    images = sample_images(BATCH, (size, size, 3))
    options: dict[str, Any] = {"n_threads": 1, "image_size": size, "device": "cpu"}
    results = []
    for name, layers, plain in CASES[:n_cases]:
        exact = CNNEmbedding(**options, **layers).fit(images)
        rough = CNNEmbedding(precision="int8", **options, **layers).fit(images)
        eager = write_plainly(plain(lite0.build().eval()))
        eager_last = write_plainly(plain(lite0.build().eval()), channels_last=True)
        difference = compare(name, exact.transform(images), eager(images))
        cosine = compare_directions(name, rough.transform(images), exact.transform(images))
        torch.set_num_threads(1)
        seconds = race(
            [
                Candidate("torch eager", partial(eager, images)),
                Candidate("torch eager, channels last", partial(eager_last, images)),
                Candidate("imgfeat fp32", partial(exact.transform, images)),
                Candidate("imgfeat int8", partial(rough.transform, images)),
            ],
            repeats,
        )
        torch.set_num_threads(os.cpu_count() or 1)
        for own, target in (("imgfeat fp32", 4), ("imgfeat int8", 8)):
            for peer in ("torch eager", "torch eager, channels last"):
                goal = target if peer == "torch eager" else None
                case = summarise(f"{name}, {own[8:]}", seconds, own, peer, len(images), goal)
                case["max_difference"] = difference if own == "imgfeat fp32" else None
                case["cosine"] = cosine if own == "imgfeat int8" else None
                results.append(case)
    return results


def race_from_files(folder: Path, n: int, repeats: int, size: int) -> list[dict[str, Any]]:
    """Time JPEG files to features on two cores, against a loop and against the network alone."""
    paths = sorted(map(str, folder.glob("**/*.[jJ][pP]*[gG]")))
    paths = (paths * (1 + n // len(paths)))[:n]
    with Image.open(paths[0]) as image:
        kind = f"JPEG files of {image.height}x{image.width}"
    network = Pooled(lite0.build().eval())
    convert = transforms.Compose(
        [
            transforms.Resize((size, size)),
            transforms.ToTensor(),
            transforms.Normalize(lite0.MEAN, lite0.STD),
        ]
    )

    def loop() -> Features:
        rows = []
        for path in paths:
            with Image.open(path) as image, torch.inference_mode():
                rows.append(network(convert(image.convert("RGB"))[None]).numpy())
        return np.concatenate(rows)

    embedding = CNNEmbedding(
        layers="last", pooling="mean", grid=1, image_size=size, device="cpu", n_threads=2
    )
    loader = ImageLoader(size)
    stream = Batched(make_pipeline(loader, embedding), batch_size=16, n_jobs=2)
    images = loader.transform(paths)
    stream.fit(paths[:1])
    compare("from files", stream.transform(paths), embedding.fit(images).transform(images))
    # The loop resizes with Pillow: on its own pixels the features must be its own.
    compare(
        "from files, against the loop", embedding.transform(resize_plainly(paths, size)), loop()
    )
    torch.set_num_threads(2)
    seconds = race(
        [
            Candidate("loop", loop),
            Candidate("bare model", partial(embedding.transform, images)),
            Candidate("imgfeat", partial(stream.transform, paths)),
        ],
        repeats,
        one_thread=False,
    )
    return [
        summarise(f"{kind}, two cores", seconds, "imgfeat", "loop", n, 3),
        summarise(f"{kind}, share of bare model", seconds, "imgfeat", "bare model", n, 0.9),
    ]


def resize_plainly(paths: Sequence[str], size: int) -> NDArray[np.uint8]:
    """Return what torchvision's Resize makes of the files."""
    resize = transforms.Resize((size, size))
    pictures = []
    for path in paths:
        with Image.open(path) as image:
            pictures.append(np.asarray(resize(image.convert("RGB"))))
    return np.stack(pictures)


def measure_accuracy(folder: Path, n_splits: int) -> dict[str, Any]:
    """Compare the accuracy of the same classifier on fp32 and on int8 features."""
    paths, labels = load_folder(folder)
    images = ImageLoader(SIZE, n_jobs=2).transform(paths)
    scores: dict[str, list[float]] = {}
    for precision in ("fp32", "int8"):
        embedding = CNNEmbedding(precision=precision, device="cpu")
        features = embedding.fit_transform(images)
        scores[precision] = []
        for seed in range(n_splits):
            train, test, y_train, y_test = train_test_split(
                features, labels, test_size=0.3, stratify=labels, random_state=seed
            )
            model = make_pipeline(StandardScaler(), SVC(C=10)).fit(train, y_train)
            scores[precision].append(float(model.score(test, y_test)))
    exact, rough = (statistics.mean(scores[precision]) for precision in ("fp32", "int8"))
    lost = 100 * (exact - rough)
    print(
        f"accuracy on {folder.name}, {n_splits} splits: fp32 {exact:.4f}, int8 {rough:.4f}, "
        f"{lost:.2f} points lost (at most {MAX_POINTS_LOST})"
    )
    return {"data": folder.name, "accuracy": scores, "points_lost": lost}


def measure_memory(n: int, size: int) -> dict[str, Any] | None:
    """Transform `n` images in batches of varying length; compare memory at a tenth and the end."""
    if resident_megabytes() is None:
        print("memory: skipped, this system has no /proc")
        return None
    embedding = CNNEmbedding(image_size=size, device="cpu")
    pool = sample_images(128, (size, size, 3))
    rng = np.random.default_rng(0)
    done, early = 0, None
    while done < n:
        batch = pool[: rng.integers(1, len(pool) + 1)]
        embedding.transform(batch)
        done += len(batch)
        if early is None and done >= n // 10:
            early = resident_megabytes()
    late = resident_megabytes()
    assert early is not None
    assert late is not None
    flat = late - early < FLAT_MEGABYTES
    print(
        f"memory over {done} images in batches of 1 to {len(pool)}: {early:.0f} MB after a tenth, "
        f"{late:.0f} MB at the end ({'flat' if flat else 'NOT FLAT'})"
    )
    return {"images": done, "early_mb": early, "late_mb": late, "flat": flat}


def compare(name: str, found: Features, expected: Features) -> float:
    """Return the largest difference relative to the largest feature; exit if it is too large."""
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise SystemExit(f"{name}: features differ by {difference:.1e} of the largest; not timed.")
    return difference


def compare_directions(name: str, found: Features, expected: Features) -> float:
    """Return the mean cosine similarity of rows; exit if it is too low."""
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    cosine = float(((found * expected).sum(axis=1) / norms).mean())
    if not cosine >= MIN_COSINE:
        raise SystemExit(f"{name}: mean cosine similarity of rows is {cosine:.4f}; not timed.")
    return cosine


def summarise(
    case: str,
    seconds: dict[str, list[float]],
    own: str,
    peer: str,
    n: int,
    target: float | None,
) -> dict[str, Any]:
    """Print and return one line of the table."""
    ratios = [b / a for a, b in zip(seconds[own], seconds[peer], strict=True)]
    times = {name: [1e3 * s / n for s in seconds[name]] for name in (own, peer)}
    result = {
        "case": case,
        "peer": peer,
        "ms_per_image": {"imgfeat": times[own], peer: times[peer]},
        "ratio_median": statistics.median(ratios),
        "ratio_min": min(ratios),
        "target": target,
    }
    print(
        f"{case:34} {statistics.median(times[own]):8.2f} {peer:>27} "
        f"{statistics.median(times[peer]):8.2f} {result['ratio_median']:7.2f} "
        f"{result['ratio_min']:7.2f} {'-' if target is None else target!s:>7}",
        flush=True,
    )
    return result


def write_photographs(folder: Path) -> Path:
    """Write photographs of scikit-image as JPEG files of 640 x 480 pixels."""
    for i, image in enumerate(sample_images(24, (480, 640, 3))):
        Image.fromarray(image).save(folder / f"{i:02}.jpg", quality=90)
    return folder


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time CNNEmbedding on the CPU.")
    add_options(parser, RESULTS, "quick check: small images, few rounds")
    parser.add_argument("--data", type=Path, help="folder with one subfolder per class")
    options = parser.parse_args(argv)
    repeats, size, n_files, n_stream = (2, 64, 24, 300) if options.quick else (9, SIZE, 960, 10_000)

    environment = describe()
    print_machine(environment)
    print(f"timm {timm.__version__}, torch {torch.__version__}\n")
    print(
        f"{'case':34} {'imgfeat ms':>8} {'peer':>25} {'peer ms':>8} {'ratio':>7} {'min':>7} "
        f"{'target':>7}"
    )
    # Each case exports two networks, which takes most of the time of a quick check.
    cases = race_on_one_thread(repeats, size, 1 if options.quick else len(CASES))
    with tempfile.TemporaryDirectory() as folder:
        sources = [write_photographs(Path(folder))] + ([options.data] if options.data else [])
        for source in sources:
            cases += race_from_files(source, n_files, max(2, repeats // 2), size)
    payload = {
        "environment": environment,
        "quick": options.quick,
        "cases": cases,
        "accuracy": measure_accuracy(options.data, 5) if options.data else None,
        "memory": measure_memory(n_stream, size if options.quick else 96),
    }
    save(options, RESULTS, payload)


if __name__ == "__main__":
    main()
