"""The outputs of a pipeline and of its graph on the same images, and how far they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from imgfeat._protocols import InferenceSession
from imgfeat._sessions import SessionError, start_session
from imgfeat.export.errors import ExportError
from imgfeat.export.model_file import INPUT

TOLERANCE = 1e-4
SHORT_BATCHES = (1, 3)
# Short batches hold this many images in all, spread over the sample, which may be sorted by class.
N_IN_SHORT_BATCHES = 12
# The batch of all images is longer than the short ones; if need be, images are repeated.
MIN_FULL_BATCH = 5


@dataclass(frozen=True)
class Outputs:
    """The outputs of a pipeline or a graph for images.

    Attributes
    ----------
    values : ndarray
        Probabilities, scores or features.
    labels : ndarray or None
        Predicted labels; None for transformers.
    kind : {"probabilities", "scores", "label", "features"}
        What `values` holds; with "label", `values` is empty, of shape (n, 0).
    classes : ndarray or None
        All classes of a single-label pipeline; None otherwise, and for outputs of a graph.
    """

    values: NDArray[np.floating]
    labels: NDArray[Any] | None
    kind: str
    classes: NDArray[Any] | None = None

    @property
    def scale(self) -> float | NDArray[np.floating]:
        """The size that differences are relative to: for features, one number for each column."""
        if self.kind == "probabilities":
            return 1.0
        axis = 0 if self.kind == "features" else None
        return np.maximum(1.0, np.abs(self.values).max(axis=axis, initial=0))


def run_pipeline(pipeline: BaseEstimator, images: Any) -> Outputs:
    """Return the outputs of a fitted pipeline for images."""
    if not hasattr(pipeline, "predict"):
        return Outputs(np.asarray(pipeline.transform(images)), None, "features")
    head = pipeline[-1]
    features = pipeline[:-1].transform(images) if len(pipeline) > 1 else images
    labels = np.asarray(head.predict(features))
    classes = np.asarray(head.classes_) if labels.ndim == 1 else None
    for kind, method in (("probabilities", "predict_proba"), ("scores", "decision_function")):
        if hasattr(head, method):
            values = _join_columns(getattr(head, method)(features), head)
            return Outputs(values, labels, kind, classes)
    return Outputs(np.zeros((len(labels), 0)), labels, "label", classes)


def _join_columns(
    values: NDArray[Any] | list[NDArray[Any]], head: BaseEstimator
) -> NDArray[np.floating]:
    """Return an array; of a list with one array a label, take the columns of class 1."""
    if not isinstance(values, list):
        return np.asarray(values)
    parts = zip(values, head.classes_, strict=True)
    return np.column_stack([part @ (np.asarray(classes) == 1) for part, classes in parts])


def open_graph(model: bytes) -> InferenceSession:
    """Start a session; ExportError if ONNX Runtime cannot load the graph."""
    try:
        return start_session(model, extra="export")
    except SessionError as error:
        raise ExportError(str(error)) from error


def run_graph(
    model: bytes, images: NDArray[np.uint8]
) -> Iterator[tuple[int, NDArray[np.intp], Outputs]]:
    """Run a graph in batches of several lengths; yield length, rows of `images`, and outputs.

    The last item is for all images, in order.

    Raises
    ------
    ExportError
        If ONNX Runtime cannot load or run the graph.
    """
    yield from run_session(open_graph(model), images)


def run_session(
    session: InferenceSession, images: NDArray[np.uint8]
) -> Iterator[tuple[int, NDArray[np.intp], Outputs]]:
    """Yield what `run_graph` yields, from a session that is already open."""
    n = len(images)
    spread = np.linspace(0, n - 1, min(n, N_IN_SHORT_BATCHES)).astype(np.intp)
    batches = [
        (length, np.resize(spread, -(-len(spread) // length) * length)) for length in SHORT_BATCHES
    ]
    everything = np.resize(np.arange(n), max(n, MIN_FULL_BATCH))
    for length, rows in (*batches, (len(everything), everything)):
        yield length, rows, _run(session, images[rows], length)


def _run(session: InferenceSession, images: NDArray[np.uint8], length: int) -> Outputs:
    names = [output.name for output in session.get_outputs()]
    try:
        parts = [
            session.run(names, {INPUT: images[start : start + length]})
            for start in range(0, len(images), length)
        ]
    except Exception as error:  # onnxruntime raises a class for each of its codes
        cause = " ".join(str(error).split())[:300]
        raise ExportError(f"The graph fails on batches of {length} image(s): {cause}") from error
    arrays = [np.concatenate(part) for part in zip(*parts, strict=True)]
    if any(len(array) != len(images) for array in arrays):
        raise ExportError(
            f"The graph does not return one row for each image of batches of {length} image(s)."
        )
    outputs = dict(zip(names, arrays, strict=True))
    labels = outputs.pop("label", None)
    kind = names[-1]
    return Outputs(outputs.get(kind, np.zeros((len(images), 0))), labels, kind)


@dataclass(frozen=True)
class OutputComparison:
    """How the outputs of a graph compare with the expected ones, image by image.

    Attributes
    ----------
    equal : ndarray of bool
        The labels are equal, or there are none.
    tied : ndarray of bool
        The labels differ, but the pipeline finds them equally likely, or rounding explains it.
    differences : ndarray of float
        The largest difference between an image's values.
    tolerated : ndarray of bool
        The image is rounding-sensitive: its difference does not count.
    """

    equal: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    differences: NDArray[np.float64]
    tolerated: NDArray[np.bool_]

    @property
    def mismatched(self) -> NDArray[np.bool_]:
        """Images whose labels differ without a tie, or whose values differ beyond the tolerance."""
        return ~(self.equal | self.tied) | (self.differences > TOLERANCE)

    def tolerate(self, images: NDArray[np.bool_]) -> "OutputComparison":
        """Count the mismatches among some images, given as a mask, as ties."""
        tolerated = self.mismatched & images
        return OutputComparison(
            self.equal & ~tolerated,
            self.tied | tolerated,
            self.differences,
            self.tolerated | tolerated,
        )


def compare_outputs(
    expected: Outputs, outputs: Outputs, rows: NDArray[np.intp]
) -> OutputComparison:
    """Compare outputs with those rows of the expected outputs that belong to the same images."""
    n = len(rows)
    none = np.zeros(n, bool)
    wanted = np.asarray(expected.values[rows], np.float64)
    given = np.asarray(outputs.values, np.float64)
    labelled = (expected.labels is None, outputs.labels is None)
    if given.size != wanted.size or not np.isfinite(given).all() or len(set(labelled)) > 1:
        return OutputComparison(none, none, np.full(n, np.inf), none)
    relative = np.abs(given.reshape(wanted.shape) - wanted) / expected.scale
    differences = relative.reshape(n, -1).max(axis=1, initial=0)
    if expected.labels is None or outputs.labels is None:
        return OutputComparison(~none, none, differences, none)
    if outputs.labels.shape != expected.labels[rows].shape:  # a column would be broadcast
        return OutputComparison(none, none, np.full(n, np.inf), none)
    same = outputs.labels == expected.labels[rows].astype(outputs.labels.dtype)
    tied = _find_ties(expected, outputs.labels, wanted, same)
    equal = same.reshape(n, -1).all(axis=1)
    return OutputComparison(equal, tied & ~equal, differences, none)


def _find_ties(
    expected: Outputs, labels: NDArray[Any], values: NDArray[np.float64], same: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find images whose given labels are, to the tolerance, as likely as the expected ones."""
    tolerance = TOLERANCE * expected.scale
    if same.ndim == 2:
        threshold = 0.5 if expected.kind == "probabilities" else 0.0
        near = np.abs(values - threshold) < tolerance if values.size else np.zeros_like(same)
        return np.asarray((same | near).all(axis=1))
    if values.ndim == 1:
        return np.asarray(np.abs(values) < tolerance)
    if expected.classes is None or values.shape[1:] != expected.classes.shape:
        return np.zeros(len(values), bool)
    chosen = labels[:, np.newaxis] == expected.classes.astype(labels.dtype)
    likelihood = np.where(chosen, values, -np.inf).max(axis=1)
    return np.asarray(likelihood > values.max(axis=1) - tolerance)
