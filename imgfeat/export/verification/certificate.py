"""Proof that a graph gives what its pipeline gives."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.labels import to_plain
from imgfeat.export.verification.outputs import TOLERANCE, Answers, ask_graph, compare_answers
from imgfeat.export.verification.rounding_sensitivity import Borders

# With more images than that on a border, too few are left to prove anything by.
MOST_TIES = 0.5


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
        Between probabilities; between scores relative to the largest of them, and between features
        relative to the largest of their column, where that is above 1.
    tolerance : float
        Beyond which a file is refused.
    precision : {"float32", "float64"}
        In which the graph computes, from the first step that learns.
    unseen : tuple
        Classes that the pipeline said of none of the images.
    left_out : tuple of str
        Steps that are not in the file, if a part was allowed.
    int8 : dict or None
        Of quantised networks: ``agreement``, the share of images with the label of the pipeline
        that is not quantised, and ``largest_difference`` to its probabilities.
    sizes : tuple of (int, int)
        Of a graph that resizes: heights and widths of images of which it gave what the same graph
        gives of the ImageLoader's.
    """

    n_images: int
    batches: tuple[int, ...]
    n_labels_equal: int
    n_ties: int
    n_labels_different: int
    largest_difference: float
    tolerance: float = TOLERANCE
    precision: str = "float32"
    unseen: tuple[Any, ...] = ()
    left_out: tuple[str, ...] = ()
    int8: dict[str, float] | None = None
    sizes: tuple[tuple[int, int], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the graph is as good as the pipeline."""
        few = self.n_ties <= MOST_TIES * self.n_images
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
        if self.unseen:
            lines.append(
                f"never said: {', '.join(map(str, self.unseen))}; compare on images of all classes"
            )
        if self.int8 is not None:
            lines.append(
                f"int8: {self.int8['agreement']:.1%} of the labels as without; largest difference "
                f"{self.int8['largest_difference']:.1e}"
            )
        if self.sizes:
            listed = ", ".join(f"{height}x{width}" for height, width in self.sizes)
            lines.append(f"resizes, tried on images of {listed}")
        if self.left_out:
            lines.append(f"left out: {', '.join(self.left_out)}")
        return "\n".join(lines)


def certify(
    truth: Answers,
    graph: bytes,
    images: NDArray[np.uint8],
    *,
    borders: Borders | None = None,
    **notes: Any,
) -> Certificate:
    """Compare a graph with its pipeline.

    Parameters
    ----------
    truth : Answers
        What the pipeline says of `images`.
    graph : bytes
    images : ndarray of shape (n, *shape), dtype uint8
    borders : Borders, default=None
        What else the pipeline says if rounding changes its features: the graph may, too.
    **notes : object
        Further attributes of the certificate.

    Returns
    -------
    certificate : Certificate

    Raises
    ------
    ExportError
        If ONNX Runtime cannot load or run the graph.
    """
    lengths, different, differences = [], [], []
    for length, rows, answers in ask_graph(graph, images):
        found = compare_answers(truth, answers, rows)
        if borders is not None:
            found = found.excuse(borders.allow(answers, rows))
        lengths.append(length)
        different.append(int((~found.alike & ~found.tied).sum()))
        differences.append(float(found.differences[~found.excused].max(initial=0)))
    n = len(images)
    return Certificate(
        n,
        tuple(lengths),
        int(found.alike[:n].sum()),
        int(found.tied[:n].sum()),
        max(different),
        max(differences),
        unseen=_list_unseen(truth),
        **notes,
    )


def _list_unseen(truth: Answers) -> tuple[Any, ...]:
    if truth.classes is None or truth.labels is None:
        return ()
    return tuple(to_plain(truth.classes[~np.isin(truth.classes, truth.labels)]))
