"""`imgfeat predict`: print the label of each image."""

import argparse
import csv
import glob
import itertools
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgfeat._protocols import Classifier
from imgfeat.cli.arguments import Subcommands, add_trust
from imgfeat.cli.inputs import list_images
from imgfeat.cli.models import load_classifier

BATCH = 256


class PredictionRow(NamedTuple):
    """One row of the output; label and probability are lists for multi-label models."""

    path: str
    label: Any
    probability: float | list[float] | None


def add_parser(commands: Subcommands) -> None:
    """Add `imgfeat predict` to the commands."""
    parser = commands.add_parser("predict", help="predict the labels of images")
    parser.add_argument("model", help="model file (.skops or .onnx)")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="files, folders or glob patterns"
    )
    parser.add_argument(
        "--format",
        choices=("csv", "json"),
        default="csv",
        help="output format; csv escapes file names that are not valid Unicode (default: csv)",
    )
    add_trust(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the label of each image, with its probability."""
    from tqdm import tqdm

    model = load_classifier(arguments.model, arguments.trust)
    paths = _expand(arguments.images)
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    failures: list[str] = []
    writer = _write_csv if arguments.format == "csv" else _write_json
    progress = tqdm(batches, unit="batch", file=sys.stderr, disable=None, delay=2)
    writer(row for batch in progress for row in _predict_batch(model, batch, failures))
    for failure in failures:
        print(f"imgfeat: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _expand(patterns: Sequence[str]) -> list[str]:
    paths: list[str] = []
    for pattern in patterns:
        if os.path.isdir(pattern):
            found = list_images(pattern)
        elif os.path.exists(pattern):
            found = [pattern]
        else:
            matches = sorted(glob.glob(pattern, recursive=True))
            found = [path for path in matches if os.path.isfile(path)]
        if not found:
            raise ValueError(f"No image at {pattern}. Pass files, folders or glob patterns.")
        paths += found
    return list(dict.fromkeys(paths))


def _predict_batch(model: Classifier, paths: list[str], failures: list[str]) -> list[PredictionRow]:
    """Predict a batch; if an image cannot be read, predict one by one and record the failures."""
    from imgfeat.evaluation.prediction import predict_images
    from imgfeat.images.decoding import ImageReadError

    try:
        found = predict_images(model, paths)
    except ImageReadError as error:
        if len(paths) == 1:
            failures.append(str(error))
            return []
        return [row for path in paths for row in _predict_batch(model, [path], failures)]
    labels, probabilities = found.labels, found.scores if found.probabilistic else None
    rows = _name_labels(model, labels) if labels.ndim == 2 else labels.tolist()
    return [
        PredictionRow(path, label, _choose_probability(probabilities, labels, number))
        for number, (path, label) in enumerate(zip(paths, rows, strict=True))
    ]


def _name_labels(model: Classifier, labels: NDArray[Any]) -> list[list[Any]]:
    """Return the list of labels of each image, from a matrix with one column per label."""
    if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
        return labels.tolist()  # a multi-output classifier: one class for each output
    classes = getattr(model, "classes_", None)
    named = isinstance(classes, np.ndarray) and classes.shape == labels.shape[1:]
    names = np.asarray(classes) if named else np.arange(labels.shape[1])
    return [names[row == 1].tolist() for row in labels]


def _choose_probability(
    probabilities: NDArray[Any] | None, labels: NDArray[Any], number: int
) -> float | list[float] | None:
    """Return the probability of the most probable class, or of each predicted label."""
    if probabilities is None:
        return None
    row = probabilities[number]
    if labels.ndim == 1:
        return float(row.max())
    return row[labels[number] == 1].tolist() if row.shape == labels.shape[1:] else None


def _write_csv(rows: Iterator[PredictionRow]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    first = next(rows, None)  # raises before the header is written
    writer.writerow(PredictionRow._fields)
    for path, label, probability in () if first is None else itertools.chain([first], rows):
        writer.writerow((path, _join(label, "{}"), _join(probability, "{:.6f}")))


def _join(value: object, form: str) -> str:
    if value is None:
        return ""
    return ";".join(map(form.format, value if isinstance(value, list) else [value]))


def _write_json(rows: Iterator[PredictionRow]) -> None:
    json.dump([row._asdict() for row in rows], sys.stdout, indent=1)
    print()
