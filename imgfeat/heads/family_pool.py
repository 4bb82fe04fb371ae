"""A final estimator for stacking with a single weight for each head, which hardly overfits."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import compute_class_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from imgfeat.heads.calibration import find_smoothing
from imgfeat.heads.class_weights import ClassWeight
from imgfeat.heads.classes import (
    encode_labels,
    is_indicator_matrix,
    make_indicator_classes,
    read_labels,
)


class FamilyPool(ClassifierMixin, BaseEstimator):
    """Combine the outputs of several heads, with one non-negative weight for each head.

    Probabilities are ``softmax(sum_h weight_h * values_h + bias)``, a logarithmic opinion pool
    [1]_, where values_h are the outputs of head h. The weights and biases minimise the log loss, so
    that the probabilities are also calibrated, as by temperature scaling. For two classes, and for
    each column of an indicator matrix, the softmax is a sigmoid.

    Parameters
    ----------
    alpha : float, default=0.01
        Strength of the penalty on the squared biases, relative to the mean log loss.
    class_weight : dict or "balanced", default=None
        As in scikit-learn; ignored for indicator matrices.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or (n_labels, 2) for indicator matrices
        The labels.
    weights_ : ndarray of shape (n_heads,)
        Weight of each head.
    bias_ : ndarray of shape (n_classes,), (1,) or (n_labels,)
        Added to the weighted sums.

    Notes
    -----
    If the heads make no error, the log loss alone has no minimum: the weights would grow until
    probabilities are exactly 0 and 1. As in `TemperatureScaledClassifier`, targets are therefore
    smoothed: for n images, the target of an image's own class is (n + 1) / (n + 2). The remainder
    is shared equally between the other classes.

    References
    ----------
    .. [1] T. Heskes, "Selecting Weighting Factors in Logarithmic Opinion Pools", NIPS 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.heads.family_pool import FamilyPool
    >>> good, noise = np.eye(3)[[0, 1, 2] * 9], np.random.default_rng(0).random((27, 3))
    >>> pool = FamilyPool().fit(np.hstack([good, noise]), [0, 1, 2] * 9)
    >>> bool(pool.weights_[0] > 5 * pool.weights_[1])
    True
    """

    def __init__(self, alpha: float = 0.01, class_weight: ClassWeight = None):
        self.alpha = alpha
        self.class_weight = class_weight

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the weights and biases.

        Parameters
        ----------
        X : array-like of shape (n, n_heads * n_outputs)
            Decision functions or log probabilities, one head after another. Each head has one
            column for each class, one column in all for two classes, or one column for each label
            of an indicator matrix.
        y : array-like of shape (n,) or (n, n_labels)

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the number of columns is not a multiple of the number of classes or labels.
        """
        X, y = validate_data(self, X, read_labels(y), multi_output=True, dtype=np.float64)
        if is_indicator_matrix(y):
            self.classes_: Any = make_indicator_classes(y.shape[1])
            targets = y
            sample_weight = np.ones(len(y))
        else:
            self.classes_, codes = encode_labels(y, self)
            n_classes = len(self.classes_)
            targets = codes[:, np.newaxis] if n_classes == 2 else np.eye(n_classes)[codes]
            weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            sample_weight = weights[codes]
        values = self._split(X, targets.shape[1])
        self.weights_, self.bias_ = self._minimize(values, targets, sample_weight)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the weighted sums, of shape (n, n_outputs), or (n,) for two classes."""
        check_is_fitted(self, "weights_")
        outputs = validate_data(self, X, reset=False, dtype=np.float64)
        sums = self._split(outputs, len(self.bias_)) @ self.weights_ + self.bias_
        return sums[:, 0] if self._is_binary() else sums

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return probabilities, of shape (n, n_classes) or (n, n_labels)."""
        sums = self.decision_function(X)
        if self._is_binary():
            return np.column_stack([expit(-sums), expit(sums)])
        if np.ndim(self.classes_) == 2:
            return expit(sums)
        return np.exp(log_softmax(sums, axis=1))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return labels, of shape (n,), or an indicator matrix."""
        sums = self.decision_function(X)
        if np.ndim(self.classes_) == 2:
            return (sums > 0).astype(int)
        codes = (sums > 0).astype(int) if self._is_binary() else sums.argmax(axis=1)
        return self.classes_[codes]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _is_binary(self) -> bool:
        return np.ndim(self.classes_) == 1 and len(self.classes_) == 2

    def _split(self, X: NDArray[np.float64], n_outputs: int) -> NDArray[np.float64]:
        """Return the values as (n, n_outputs, n_heads)."""
        if X.shape[1] % n_outputs:
            raise ValueError(
                f"FamilyPool needs {n_outputs} column(s) from each head, got {X.shape[1]} in all. "
                "Use heads that all have a decision function, or heads that all have probabilities "
                "only."
            )
        return X.reshape(len(X), -1, n_outputs).swapaxes(1, 2)

    def _minimize(
        self, values: NDArray[np.float64], targets: NDArray, sample_weight: NDArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        n_outputs, n_heads = values.shape[1:]
        # Outputs of the heads differ in scale; scaled, the optimiser starts near the minimum.
        units = np.maximum(values.std(axis=(0, 1)), np.finfo(float).tiny)
        scaled = values / units
        share = (sample_weight / sample_weight.sum())[:, np.newaxis]
        exclusive = n_outputs > 1 and np.ndim(self.classes_) == 1
        smoothing = find_smoothing(share)
        n_others = n_outputs - 1 if exclusive else 1
        targets = (1 - smoothing) * targets + smoothing * (1 - targets) / n_others

        def loss(parameters: NDArray) -> tuple[float, NDArray]:
            weights, bias = parameters[:n_heads], parameters[n_heads:]
            sums = scaled @ weights + bias
            if exclusive:
                logs = log_softmax(sums, axis=1)
                total, error = -(share * targets * logs).sum(), np.exp(logs) - targets
            else:
                total = (share * (np.logaddexp(0, sums) - targets * sums)).sum()
                error = expit(sums) - targets
            error = share * error
            slope = np.einsum("nk,nkf->f", error, scaled)
            penalty = self.alpha * (bias**2).sum()
            return total + penalty, np.concatenate(
                [slope, error.sum(axis=0) + 2 * self.alpha * bias]
            )

        start = np.concatenate([np.full(n_heads, 1 / n_heads), np.zeros(n_outputs)])
        bounds = [(0, None)] * n_heads + [(None, None)] * n_outputs
        best = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
        return best[:n_heads] / units, best[n_heads:]
