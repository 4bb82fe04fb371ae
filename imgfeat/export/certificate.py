"""Proof that a graph gives what its pipeline gives."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._sessions import start_session
from imgfeat.export.model_file import INPUT

TOLERANCE = 1e-4
# With more images than that on a border, too few are left to prove anything by.
MOST_TIES = 0.5
BATCHES = (1, 3)


@dataclass(frozen=True)
class Certificate:
    """How far a graph was proven equal to its pipeline.

    Attributes
    ----------
    n_images : int
        On how many images: those of the sample, and others that ship with imgfeat.
    batches : tuple of int
        In batches of which lengths they ran.
    n_labels_equal : int
        For how many of them both gave the same label, or all the same labels.
    n_ties : int
        How many are on a border and differ: the pipeline finds two labels as likely, to
        `tolerance`; or the pipeline's own answer is another one, through a tree's threshold or a
        vote between two classes, if its features change by what rounding does to them.
    n_labels_different : int
        For how many of them, in any of the batches, labels differ otherwise.
    largest_difference : float
        Between probabilities; between scores or features relative to the largest of them.
    tolerance : float
        Beyond which a file is refused.
    precision : {"float32", "float64"}
        In which the graph computes, from the first step that learns.
    left_out : tuple of str
        Steps that are not in the file, if a part was allowed.
    int8 : dict or None
        Of quantised networks: ``agreement``, the share of images with the label of the pipeline
        that is not quantised, and ``largest_difference`` to its probabilities.
    """

    n_images: int
    batches: tuple[int, ...]
    n_labels_equal: int
    n_ties: int
    n_labels_different: int
    largest_difference: float
    tolerance: float = TOLERANCE
    precision: str = "float32"
    left_out: tuple[str, ...] = ()
    int8: dict[str, float] | None = None

    @property
    def holds(self) -> bool:
        """Whether the graph is as good as the pipeline."""
        few = self.n_ties <= max(1, MOST_TIES * self.n_images)
        return few and self.n_labels_different == 0 and self.largest_difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON keeps."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.n_labels_equal} of {self.n_images} images alike, {self.n_ties} ties, "
            f"{self.n_labels_different} different; largest difference "
            f"{self.largest_difference:.1e} (allowed {self.tolerance:.0e}); batches of "
            f"{', '.join(map(str, self.batches))}; {self.precision}"
        ]
        if self.int8 is not None:
            lines.append(
                f"int8: {self.int8['agreement']:.1%} of the labels as without; largest difference "
                f"{self.int8['largest_difference']:.1e}"
            )
        if self.left_out:
            lines.append(f"left out: {', '.join(self.left_out)}")
        return "\n".join(lines)


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
    """

    values: NDArray[np.floating]
    labels: NDArray[Any] | None
    kind: str


def ask_pipeline(pipeline: Any, images: NDArray[np.uint8]) -> Answers:
    """Return what a fitted pipeline says of images."""
    if not hasattr(pipeline, "predict"):
        return Answers(np.asarray(pipeline.transform(images)), None, "features")
    head = pipeline[-1]
    features = pipeline[:-1].transform(images) if len(pipeline) > 1 else images
    labels = np.asarray(head.predict(features))
    for kind, method in (("probabilities", "predict_proba"), ("scores", "decision_function")):
        if hasattr(head, method):
            return Answers(np.asarray(getattr(head, method)(features)), labels, kind)
    return Answers(np.zeros((len(labels), 0)), labels, "label")


def ask_graph(model: bytes, images: NDArray[np.uint8]) -> Iterator[tuple[int, Answers]]:
    """Yield what a graph says of the images, and in batches of which length it was asked."""
    session = start_session(model, extra="export")
    names = [output.name for output in session.get_outputs()]
    for length in (*BATCHES, len(images)):
        asked = images[: max(3 * length, 12)]
        parts = [
            session.run(names, {INPUT: asked[start : start + length]})
            for start in range(0, len(asked), length)
        ]
        outputs = [np.concatenate(part) for part in zip(*parts, strict=True)]
        answers = dict(zip(names, outputs, strict=True))
        labels = answers.pop("label", None)
        kind = names[-1]
        yield length, Answers(answers.get(kind, np.zeros((len(asked), 0))), labels, kind)


def certify(
    truth: Answers,
    graph: bytes,
    images: NDArray[np.uint8],
    *,
    unstable: NDArray[np.bool_] | None = None,
    **notes: Any,
) -> Certificate:
    """Compare a graph with its pipeline.

    Parameters
    ----------
    truth : Answers
        What the pipeline says of `images`.
    graph : bytes
    images : ndarray of shape (n, *shape), dtype uint8
    unstable : ndarray of shape (n,), dtype bool, default=None
        Images of which the pipeline itself says something else if rounding changes their features.
        What the graph says of them may differ.
    **notes : object
        Further attributes of the certificate.

    Returns
    -------
    certificate : Certificate
    """
    lengths, different, differences = [], [], []
    for length, answers in ask_graph(graph, images):
        found = compare_answers(truth, answers)
        if unstable is not None:
            found = found.excuse(unstable[: len(answers.values)])
        lengths.append(length)
        different.append(int((~found.alike & ~found.tied).sum()))
        differences.append(float(found.differences[~found.excused].max(initial=0)))
    # The last batch is of all images.
    return Certificate(
        len(images),
        tuple(lengths),
        int(found.alike.sum()),
        int(found.tied.sum()),
        max(different),
        max(differences),
        **notes,
    )


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


def compare_answers(truth: Answers, answers: Answers) -> Comparison:
    """Compare answers with the first of as many true ones."""
    n = len(answers.values)
    no = np.zeros(n, bool)
    true = np.asarray(truth.values[:n], np.float64)
    given = np.asarray(answers.values, np.float64)
    if given.size != true.size or not np.isfinite(given).all():
        return Comparison(no, no, np.full(n, np.inf), no)
    scale = 1.0
    if truth.kind != "probabilities":
        scale = max(1.0, float(np.abs(truth.values).max(initial=0)))
    apart = np.abs(given.reshape(n, -1) - true.reshape(n, -1)) / scale
    differences = apart.max(axis=1, initial=0)
    if truth.labels is None or answers.labels is None:
        return Comparison(~no, no, differences, no)
    same = answers.labels == truth.labels[:n].astype(answers.labels.dtype)
    if same.ndim == 2:
        border = 0.5 if truth.kind == "probabilities" else 0.0
        tied = (same | (np.abs(true - border) / scale < TOLERANCE)).all(axis=1)
        alike = same.all(axis=1)
    else:
        margins = _measure_margins(true) if true.size else np.full(n, np.inf)
        tied, alike = margins / scale < TOLERANCE, same
    return Comparison(alike, tied & ~alike, differences, no)


def _measure_margins(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the likeliest class leads."""
    if values.ndim == 1:
        return np.abs(values)
    first, second = np.partition(values, -2, axis=1)[:, :-3:-1].T
    return first - second
