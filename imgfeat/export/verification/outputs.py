"""What a pipeline and its graph say of the same images, and how far that is apart."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._sessions import SessionError, start_session
from imgfeat.export.errors import ExportError
from imgfeat.export.model_file import INPUT

TOLERANCE = 1e-4
SHORT_BATCHES = (1, 3)
# How many images go through these, from all over the sample: it may be in order of classes.
N_SPREAD = 12
# The last batch is longer than the others, if need be by images that come twice.
LEAST_ALL = 5


@dataclass(frozen=True)
class Answers:
    """What a pipeline or a graph says of images.

    Attributes
    ----------
    values : ndarray
        Probabilities, scores or features.
    labels : ndarray or None
        Of classifiers.
    kind : {"probabilities", "scores", "label", "features"}
        What the values are; there are none, (n, 0), with "label".
    classes : ndarray or None
        Which labels there are, of classifiers that give an image one.
    """

    values: NDArray[np.floating]
    labels: NDArray[Any] | None
    kind: str
    classes: NDArray[Any] | None = None

    @property
    def scale(self) -> Any:
        """What differences are relative to: for features, a number a column."""
        if self.kind == "probabilities":
            return 1.0
        axis = 0 if self.kind == "features" else None
        return np.maximum(1.0, np.abs(self.values).max(axis=axis, initial=0))


def ask_pipeline(pipeline: Any, images: Any) -> Answers:
    """Return what a fitted pipeline says of images."""
    if not hasattr(pipeline, "predict"):
        return Answers(np.asarray(pipeline.transform(images)), None, "features")
    head = pipeline[-1]
    features = pipeline[:-1].transform(images) if len(pipeline) > 1 else images
    labels = np.asarray(head.predict(features))
    classes = np.asarray(head.classes_) if labels.ndim == 1 else None
    for kind, method in (("probabilities", "predict_proba"), ("scores", "decision_function")):
        if hasattr(head, method):
            values = _take_values(getattr(head, method)(features), head)
            return Answers(values, labels, kind, classes)
    return Answers(np.zeros((len(labels), 0)), labels, "label", classes)


def _take_values(found: Any, head: Any) -> NDArray[np.floating]:
    """Of a list with an array for each label, take the columns that say it is present."""
    if not isinstance(found, list):
        return np.asarray(found)
    parts = zip(found, head.classes_, strict=True)
    return np.column_stack([values @ (np.asarray(classes) == 1) for values, classes in parts])


def open_graph(model: bytes) -> Any:
    """Start a session; ExportError if ONNX Runtime cannot load the graph."""
    try:
        return start_session(model, extra="export")
    except SessionError as error:
        raise ExportError(str(error)) from error


def ask_graph(
    model: bytes, images: NDArray[np.uint8]
) -> Iterator[tuple[int, NDArray[np.intp], Answers]]:
    """Yield batch length, rows of the images that were asked about, and what a graph says of them.

    The last is of all images, in order.

    Raises
    ------
    ExportError
        If ONNX Runtime cannot load or run the graph.
    """
    yield from ask_session(open_graph(model), images)


def ask_session(
    session: Any, images: NDArray[np.uint8]
) -> Iterator[tuple[int, NDArray[np.intp], Answers]]:
    """Yield what `ask_graph` yields, from a session that is open already."""
    n = len(images)
    spread = np.linspace(0, n - 1, min(n, N_SPREAD)).astype(np.intp)
    batches = [
        (length, np.resize(spread, -(-len(spread) // length) * length)) for length in SHORT_BATCHES
    ]
    everything = np.resize(np.arange(n), max(n, LEAST_ALL))
    for length, rows in (*batches, (len(everything), everything)):
        yield length, rows, _run(session, images[rows], length)


def _run(session: Any, images: NDArray[np.uint8], length: int) -> Answers:
    names = [output.name for output in session.get_outputs()]
    try:
        parts = [
            session.run(names, {INPUT: images[start : start + length]})
            for start in range(0, len(images), length)
        ]
    except Exception as error:  # onnxruntime raises a class for each of its codes
        cause = " ".join(str(error).split())[:300]
        raise ExportError(f"The graph fails on {length} image(s) at a time: {cause}") from error
    outputs = [np.concatenate(part) for part in zip(*parts, strict=True)]
    if any(len(output) != len(images) for output in outputs):
        raise ExportError(f"The graph does not give a row for each of {length} image(s).")
    answers = dict(zip(names, outputs, strict=True))
    labels = answers.pop("label", None)
    kind = names[-1]
    return Answers(answers.get(kind, np.zeros((len(images), 0))), labels, kind)


@dataclass(frozen=True)
class Comparison:
    """How two answers go together, image by image.

    Attributes
    ----------
    alike : ndarray of bool
        Labels are the same, or there are none.
    tied : ndarray of bool
        They are not, but the image is on the border.
    differences : ndarray of float
        The largest of an image's values.
    excused : ndarray of bool
        On a threshold: the difference does not count.
    """

    alike: NDArray[np.bool_]
    tied: NDArray[np.bool_]
    differences: NDArray[np.float64]
    excused: NDArray[np.bool_]

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """What is neither alike nor excused."""
        return ~(self.alike | self.tied) | (self.differences > TOLERANCE)

    def excuse(self, images: NDArray[np.bool_]) -> "Comparison":
        """Count as ties what is wrong of some images."""
        excused = self.wrong & images
        return Comparison(
            self.alike & ~excused, self.tied | excused, self.differences, self.excused | excused
        )


def compare_answers(truth: Answers, answers: Answers, rows: NDArray[np.intp]) -> Comparison:
    """Compare answers with the true ones of the same rows."""
    n = len(rows)
    no = np.zeros(n, bool)
    true = np.asarray(truth.values[rows], np.float64)
    given = np.asarray(answers.values, np.float64)
    labelled = (truth.labels is None, answers.labels is None)
    if given.size != true.size or not np.isfinite(given).all() or len(set(labelled)) > 1:
        return Comparison(no, no, np.full(n, np.inf), no)
    apart = np.abs(given.reshape(true.shape) - true) / truth.scale
    differences = apart.reshape(n, -1).max(axis=1, initial=0)
    if truth.labels is None or answers.labels is None:
        return Comparison(~no, no, differences, no)
    if answers.labels.shape != truth.labels[rows].shape:  # a column would be broadcast
        return Comparison(no, no, np.full(n, np.inf), no)
    same = answers.labels == truth.labels[rows].astype(answers.labels.dtype)
    tied = _find_ties(truth, answers.labels, true, same)
    alike = same.reshape(n, -1).all(axis=1)
    return Comparison(alike, tied & ~alike, differences, no)


def _find_ties(
    truth: Answers, labels: NDArray[Any], true: NDArray[np.float64], same: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Find images of which other labels are as likely as the true ones."""
    room = TOLERANCE * truth.scale
    if same.ndim == 2:
        border = 0.5 if truth.kind == "probabilities" else 0.0
        near = np.abs(true - border) < room if true.size else np.zeros_like(same)
        return np.asarray((same | near).all(axis=1))
    if true.ndim == 1:
        return np.asarray(np.abs(true) < room)
    if truth.classes is None or true.shape[1:] != truth.classes.shape:
        return np.zeros(len(true), bool)
    chosen = labels[:, np.newaxis] == truth.classes.astype(labels.dtype)
    likelihood = np.where(chosen, true, -np.inf).max(axis=1)
    return np.asarray(likelihood > true.max(axis=1) - room)
