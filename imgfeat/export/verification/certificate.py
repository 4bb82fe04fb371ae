"""The comparison of a graph with its pipeline, and its result."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.labels import to_plain
from imgfeat.export.verification.graph_outputs import TOLERANCE, Outputs, compare_outputs, run_graph
from imgfeat.export.verification.rounding_sensitivity import RoundingSensitivity

# With a larger share of ties, too few images are left to verify a graph.
MAX_TIED_SHARE = 0.5


@dataclass(frozen=True)
class Certificate:
    """Result of the comparison of an exported graph with its pipeline.

    Attributes
    ----------
    n_images : int
        Number of images compared: those of the sample, and images that ship with imgfeat.
    batches : tuple of int
        Lengths of the batches in which the graph ran.
    n_labels_equal : int
        Number of images with equal labels; with several labels an image, all are equal.
    n_ties : int
        Number of images whose outputs differ and for which that is tolerated: the pipeline finds
        both labels equally likely, to `tolerance`; or the image is rounding-sensitive, that is, the
        pipeline's own outputs change in the same way, at a threshold of a tree or in a vote between
        two classes, if its features change by as much as rounding changes them.
    n_labels_different : int
        Number of images, in the worst of the batches, whose labels differ and for which that is
        not tolerated.
    largest_difference : float
        Largest difference between probabilities, or between scores relative to the largest score,
        or between features relative to the largest of their column, where that is above 1.
        Rounding-sensitive images that are tolerated do not count.
    tolerance : float
        The largest difference that is allowed: beyond it, no file is written.
    precision : {"float32", "float64"}
        The precision in which the graph computes, from the first step that is fitted to data.
    unseen : tuple
        Classes that the pipeline predicts for none of the images: the graph is not verified on
        them.
    left_out : tuple of str
        Steps that are not in the file, with ``allow_partial=True``.
    int8 : dict or None
        For quantised networks: ``agreement``, the share of images with the label of the pipeline
        that is not quantised, and ``largest_difference`` to its probabilities.
    sizes : tuple of (int, int)
        For a graph that resizes: heights and widths of images for which its outputs equal those of
        the graph without resizing, on images that the ImageLoader resized.
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
        """Whether the graph is verified: its outputs equal the pipeline's, but for ties."""
        few_ties = self.n_ties <= MAX_TIED_SHARE * self.n_images
        equal = self.n_labels_different == 0 and self.largest_difference <= self.tolerance
        return few_ties and equal

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dict that can be written as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.n_labels_equal} of {self.n_images} images agree, {self.n_ties} tie(s) "
            f"tolerated, {self.n_labels_different} disagree; largest difference "
            f"{self.largest_difference:.1e} (allowed {self.tolerance:.0e}); batches of "
            f"{', '.join(map(str, self.batches))}; {self.precision}"
        ]
        if self.unseen:
            lines.append(
                f"not predicted for any image: {', '.join(map(str, self.unseen))}; pass a sample "
                "with images of all classes"
            )
        if self.int8 is not None:
            lines.append(
                f"int8: {self.int8['agreement']:.1%} of the labels equal those without "
                f"quantisation; largest difference {self.int8['largest_difference']:.1e}"
            )
        if self.sizes:
            listed = ", ".join(f"{height}x{width}" for height, width in self.sizes)
            lines.append(f"resizes in the graph, compared on images of {listed}")
        if self.left_out:
            lines.append(f"left out: {', '.join(self.left_out)}")
        return "\n".join(lines)


def certify(
    expected: Outputs,
    graph: bytes,
    images: NDArray[np.uint8],
    *,
    sensitivity: RoundingSensitivity | None = None,
    precision: str = "float32",
) -> Certificate:
    """Compare a graph with its pipeline.

    Parameters
    ----------
    expected : Outputs
        The pipeline's outputs for `images`.
    graph : bytes
    images : ndarray of shape (n, *shape), dtype uint8
    sensitivity : RoundingSensitivity, default=None
        The pipeline's outputs for perturbed features: outputs of the graph that resemble them are
        tolerated. None tolerates nothing but labels that are equally likely.
    precision : {"float32", "float64"}, default="float32"
        The precision in which the graph computes.

    Returns
    -------
    certificate : Certificate

    Raises
    ------
    ExportError
        If ONNX Runtime cannot load or run the graph.
    """
    lengths, different, differences = [], [], []
    for length, rows, outputs in run_graph(graph, images):
        compared = compare_outputs(expected, outputs, rows)
        if sensitivity is not None:
            compared = compared.tolerate(sensitivity.tolerates(outputs, rows))
        lengths.append(length)
        different.append(int((~compared.equal & ~compared.tied).sum()))
        differences.append(float(compared.differences[~compared.tolerated].max(initial=0)))
    n = len(images)
    return Certificate(
        n,
        tuple(lengths),
        int(compared.equal[:n].sum()),
        int(compared.tied[:n].sum()),
        max(different),
        max(differences),
        precision=precision,
        unseen=_list_unseen(expected),
    )


def _list_unseen(expected: Outputs) -> tuple[Any, ...]:
    if expected.classes is None or expected.labels is None:
        return ()
    return tuple(to_plain(expected.classes[~np.isin(expected.classes, expected.labels)]))
