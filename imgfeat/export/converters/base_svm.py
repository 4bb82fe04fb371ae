"""Kernels between features and landmarks, and base class of converters for one-vs-one SVMs."""

from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.converters.base_head import Head
from imgfeat.export.converters.base_step import Step
from imgfeat.heads.kernel_methods.precision import FAR_FROM_0


def add_rbf(
    step: Step, features: str, landmarks: NDArray[Any], gamma: float, weight: float = 1.0
) -> str:
    """Return ``weight * exp(-gamma * |x - z|^2)`` of features (n, d) and landmarks (m, d)."""
    landmarks = landmarks.astype(np.float64)
    center = landmarks.mean(axis=0)
    if center @ center > FAR_FROM_0 * landmarks.var(axis=0).sum():
        center = center.astype(step.dtype)
        features = step.add("Sub", features, step.floats(center))
        landmarks = landmarks - center
    axes = step.nodes.constant([1], np.int64)
    squares = step.add("ReduceSumSquare", features, axes, keepdims=1)
    offsets = np.log(weight) - gamma * np.einsum("ij,ij->i", landmarks, landmarks)
    product = _multiply(step, features, 2 * gamma * landmarks, offsets)
    return step.add("Exp", step.add("Add", product, step.add("Mul", squares, step.floats(-gamma))))


def add_kernel(
    step: Step, landmarks: NDArray[Any], name: str, *, gamma: float, coef0: float, degree: float
) -> str:
    """Return one of scikit-learn's kernels between the features and landmarks, (n, m).

    Raises
    ------
    NotImplementedError
        If `name` is none of "rbf", "linear", "poly" and "sigmoid".
    """
    if name == "rbf":
        return add_rbf(step, step.features, landmarks, gamma)
    if name == "linear":
        return _multiply(step, step.features, landmarks, np.zeros(len(landmarks)))
    if name not in ("poly", "polynomial", "sigmoid"):
        raise NotImplementedError(
            f"kernel={name!r} cannot be converted: use 'rbf', 'linear', 'poly' or 'sigmoid'."
        )
    offsets = np.full(len(landmarks), coef0)
    product = _multiply(step, step.features, gamma * landmarks, offsets)
    if name == "sigmoid":
        return step.add("Tanh", product)
    return step.add("Pow", product, step.floats(degree))


def _multiply(
    step: Step, features: str, landmarks: NDArray[np.float64], offsets: NDArray[np.float64]
) -> str:
    """Return ``features @ landmarks.T + offsets``."""
    if step.dtype == np.float32:
        return step.add("Gemm", features, step.floats(landmarks.T), step.floats(offsets))
    # ONNX Runtime rearranges the second matrix for each product in double precision, which takes
    # several times longer than the product for one image: so the landmarks are the first matrix.
    # Both factors are negated, which is exact: ONNX Runtime before 1.26 would fuse Transpose and
    # MatMul to an operator that it does not have in double precision.
    columns = step.add("Neg", step.add("Transpose", features, perm=[1, 0]))
    product = step.add("MatMul", step.floats(-landmarks), columns)
    return step.add("Add", step.add("Transpose", product, perm=[1, 0]), step.floats(offsets))


class PairwiseHead(Head):
    """One-vs-one SVMs for all pairs of classes on a common kernel, as in libsvm.

    Subclasses implement `_product`, which returns the kernel, coefficients and intercepts.
    """

    #: Whether the label is that of the largest decision value or, as in libsvm, the first of the
    #: classes with most votes.
    break_ties = True
    decision_shape = "ovr"

    def _product(self) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
        """Return a tensor (n, m), coefficients (m, n_pairs) and intercepts (n_pairs,).

        For two classes, positive values of the only pair are for the second class.
        """
        raise NotImplementedError

    def _add_decision(self) -> str:
        if self._n_classes == 2:
            return self._pairs
        if self.decision_shape == "ovo":
            return self.nodes.slice(self._pairs, 1, 0, -1)
        sums = self.add("MatMul", self._pairs, self.floats(pair_signs(self._n_classes)))
        if self.dtype == np.float32:
            bounded = self.add("Softsign", sums)
        else:
            size = self.add("Add", self.add("Abs", sums), self.floats(1))
            bounded = self.add("Div", sums, size)
        return self.add("Gemm", self._second_class_wins, self._vote_matrix, bounded, beta=1 / 3)

    def _add_codes(self) -> str:
        if self._n_classes == 2:
            return self.threshold_at_zero(self.decision)
        if self.break_ties:
            return self.argmax(self.decision)
        return self.argmax(self.add("MatMul", self._second_class_wins, self._vote_matrix))

    @property
    def _n_classes(self) -> int:
        return len(self.estimator.classes_)

    @cached_property
    def _pairs(self) -> str:
        """Decision values of the pairs and, for more than two classes, a last column of -1."""
        tensor, coefficients, intercepts = self._product()
        if self._n_classes > 2:
            coefficients = np.pad(coefficients, ((0, 0), (0, 1)))
            intercepts = np.append(intercepts, -1)
        return self.add("Gemm", tensor, self.floats(coefficients), self.floats(intercepts))

    @cached_property
    def _second_class_wins(self) -> str:
        """1 if the second class of a pair wins, else 0; the last column is 1."""
        return self.nodes.cast(self.add("Less", self._pairs, self.floats(0)), self.dtype)

    @property
    def _vote_matrix(self) -> str:
        """Changes of the votes if the second class of a pair wins.

        The last row holds the votes if the first class of each pair wins.
        """
        n_classes = self._n_classes
        ballot = -pair_signs(n_classes)
        ballot[-1] = np.arange(n_classes)[::-1]
        return self.floats(ballot)


def expand_pairs(dual: NDArray[np.float64], n_support: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return libsvm's coefficients (n_classes - 1, m) as a matrix (m, n_pairs)."""
    ends = np.cumsum(n_support)
    spans = [slice(end - count, end) for end, count in zip(ends, n_support, strict=True)]
    columns = []
    for i, j in combinations(range(len(spans)), 2):
        column = np.zeros(dual.shape[1])
        column[spans[i]] = dual[j - 1, spans[i]]
        column[spans[j]] = dual[i, spans[j]]
        columns.append(column)
    return np.column_stack(columns)


def pair_signs(n_classes: int) -> NDArray[np.float64]:
    """Return (n_pairs + 1, n_classes): 1 for the first class of each pair, -1 for the second."""
    pairs = list(combinations(range(n_classes), 2))
    signs = np.zeros((len(pairs) + 1, n_classes))
    for row, (i, j) in enumerate(pairs):
        signs[row, i], signs[row, j] = 1, -1
    return signs
