"""Support vector classification with RBF kernels, also with one kernel for each feature group."""

import contextlib
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state, compute_class_weight
from sklearn.utils.validation import check_is_fitted, validate_data

from imgfeat._blas import one_blas_thread
from imgfeat._compat.sklearn import (
    Interval,
    StrOptions,
    check_sample_weight,
    ovr_decision_function,
    validate_params,
)
from imgfeat.heads.class_weights import ClassWeight
from imgfeat.heads.classes import encode_labels, read_labels
from imgfeat.heads.families import find_families
from imgfeat.heads.kernel_methods.alignment import align_kernels
from imgfeat.heads.kernel_methods.landmarks import choose_landmarks, draw_pilot
from imgfeat.heads.kernel_methods.one_vs_one import (
    decide_pairs,
    fit_pairs,
    fit_pairs_at_once,
    sum_soft_votes,
)
from imgfeat.heads.kernel_methods.precision import find_center, find_precision
from imgfeat.heads.kernel_methods.primal import fit_squared_hinge
from imgfeat.heads.kernel_methods.rbf import find_gamma, measure_rbf

# Rows of the kernel matrix computed at once in prediction.
ROWS_AT_ONCE = 1024
# With fewer images, one BLAS thread is faster than several.
FEW_IMAGES = 3000
# Up to so many images, one kernel matrix of all images in double precision fits into memory. With
# more, matrices are computed for each pair of classes, in single precision, which is twice as fast.
FEW_ENOUGH_FOR_DOUBLES = 10_000
# Images of two classes: their kernel matrix of 8-byte numbers takes 1.8 GB.
LARGEST_PAIR = 15_000
FLOATS = (np.float32, np.float64)
# Number of images from which the alignment of kernels with the labels is estimated.
ALIGNMENT_SAMPLE = 2000


class KernelSVC(ClassifierMixin, BaseEstimator):
    """Support vector classification with an RBF kernel: exact for few images, else approximate.

    By default this is ``SVC(kernel="rbf", break_ties=True)``. With `weights`, the kernel is the
    weighted mean of one RBF kernel for each feature group (family); columns then need names, as
    from ``FeatureUnion(...).set_output(transform="pandas")``.

    Up to `max_exact` images, it solves the same one-vs-one problems as SVC, many times faster,
    since BLAS computes the kernel matrices: see
    `imgfeat.heads.kernel_methods.one_vs_one.fit_pairs`. For more images, or if two classes have
    more than 15,000 images together, it is a Nystroem approximation: the decision function is a
    combination of kernels to `n_components` images (landmarks), and the squared hinge loss is
    minimised one-vs-rest in the primal, see
    `imgfeat.heads.kernel_methods.primal.fit_squared_hinge`. Most landmarks are drawn from the
    images with the smallest margins in a preliminary solution, which are likely support vectors.

    Parameters
    ----------
    C : float, default=10.0
        Inverse regularisation strength, as in SVC.
    gamma : {"scale", "auto"} or float, default="scale"
        Coefficient of the RBF kernel, as in SVC: "scale" is 1 / (n_features * variance) and "auto"
        is 1 / n_features, each computed for each family separately.
    gamma_factor : float, default=1.0
        Multiplies gamma; less than 1 gives a smoother kernel.
    weights : {"equal", "align"} or dict of str to float, default=None
        Weights of the families' kernels: "equal", "align" for centred alignment with the labels
        [1]_, or a dict by family name. None uses a single kernel of all columns.
    class_weight : dict or "balanced", default=None
        As in SVC.
    votes : {"hard", "soft"}, default="hard"
        How the one-vs-one SVMs of an exact solution are combined into a value for each class.
        "hard" is the decision function of SVC, which counts the pairs that a class wins. "soft" is
        the sum of log probabilities of winning, which calibrates better: see
        `imgfeat.heads.kernel_methods.one_vs_one.sum_soft_votes`.
    max_exact : int, default=100_000
        Largest number of images for which the solution is exact. With n images, it takes 8 * n ** 2
        bytes of memory for n up to 10,000. For more, it takes 12 bytes times the square of the
        number of images in the two largest classes, and 4 bytes times the sum of the squares of all
        class sizes.
    n_components : int, default=6000
        Number of landmarks if the solution is not exact. Memory is 4 * n * n_components bytes.
    random_state : int, RandomState instance or None, default=None
        Determines which images are landmarks, and the sample for ``weights="align"``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    families_ : dict of str to ndarray
        Column positions of each family; without `weights`, a single family named "".
    weights_ : dict of str to float
        Weights of the families, which sum to 1.
    gamma_ : dict of str to float
        The value of gamma for each family, with `gamma_factor`.
    center_ : ndarray of shape (d,)
        Subtracted from features for numerical accuracy; distances do not change. It is the mean if
        that is large compared with the standard deviation, else 0.
    landmarks_ : ndarray of shape (m, d), dtype float32 or float64
        The support vectors, sorted by class, or the landmarks; `center_` is already subtracted.
    n_support_, dual_coef_ : ndarray
        Only if the solution is exact: number of support vectors of each class, and coefficients of
        the one-vs-one SVMs, see `imgfeat.heads.kernel_methods.one_vs_one.OneVsOneSVMs`.
    coefficients_ : ndarray of shape (m, n_classes) or (m, 1)
        Only if the solution is not exact: coefficients of the landmarks.
    intercept_ : ndarray of shape (n_pairs,); if not exact, (n_classes,) or (1,)
        Intercepts of the one-vs-one or one-vs-rest SVMs.

    References
    ----------
    .. [1] C. Cortes, M. Mohri and A. Rostamizadeh, "Algorithms for Learning Kernels Based on
           Centered Alignment", JMLR 13, 2012.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads.kernel_svm import KernelSVC
    >>> X, y = load_digits(return_X_y=True)
    >>> KernelSVC().fit(X[:1000], y[:1000]).score(X[1000:], y[1000:]) > 0.95
    True
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "gamma": [StrOptions({"scale", "auto"}), Interval(Real, 0, None, closed="neither")],
        "gamma_factor": [Interval(Real, 0, None, closed="neither")],
        "weights": [StrOptions({"equal", "align"}), Mapping, None],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "votes": [StrOptions({"hard", "soft"})],
        "max_exact": [Interval(Integral, 0, None, closed="left")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        C: float = 10.0,
        gamma: float | str = "scale",
        gamma_factor: float = 1.0,
        weights: str | Mapping[str, float] | None = None,
        class_weight: ClassWeight = None,
        votes: str = "hard",
        max_exact: int = 100_000,
        n_components: int = 6000,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.C = C
        self.gamma = gamma
        self.gamma_factor = gamma_factor
        self.weights = weights
        self.class_weight = class_weight
        self.votes = votes
        self.max_exact = max_exact
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the decision function.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d)
            Features, which should be standardised: the kernel adds up squared differences.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), default=None
            Multiplies C for each image; images of weight 0 are ignored.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is only one class, X contains NaN, or `weights` do not match the families in
            the columns' names.
        """
        validate_params(self)
        X, y = validate_data(self, X, read_labels(y), dtype=FLOATS, order="C")
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, X)
            X, y, sample_weight = _drop_zero_weights(X, y, sample_weight)
        self.classes_, codes = encode_labels(y, self)
        self.families_ = self._find_families()
        self.gamma_ = {
            name: self.gamma_factor * self._find_gamma(X[:, c])
            for name, c in self.families_.items()
        }
        random_state = check_random_state(self.random_state)
        self.center_ = find_center(X, self.families_.values())
        X = X - self.center_ if self.center_.any() else X
        self.weights_ = self._weigh_families(X, codes, random_state)
        with one_blas_thread() if len(X) < FEW_IMAGES else contextlib.nullcontext():
            balance = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            if sample_weight is None:
                sample_weight = np.ones(len(X))
            if len(X) <= self.max_exact and np.sort(np.bincount(codes))[-2:].sum() <= LARGEST_PAIR:
                return self._fit_exact(X, codes, balance, sample_weight)
            return self._fit_large(X, codes, self.C * balance[codes] * sample_weight, random_state)

    def decision_function(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the decision function of each class.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        values : ndarray of shape (n, n_classes), or (n,) for two classes
        """
        check_is_fitted(self, "landmarks_")
        images = validate_data(self, X, reset=False, dtype=FLOATS, order="C")
        spans = range(0, len(images), ROWS_AT_ONCE)
        return np.concatenate([self._decide(images[k : k + ROWS_AT_ONCE]) for k in spans])

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label with the largest decision function for each image.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        values = self.decision_function(X)
        codes = values > 0 if values.ndim == 1 else values.argmax(axis=1)
        return self.classes_[codes.astype(np.intp)]

    def _find_families(self) -> dict[str, NDArray[np.intp]]:
        if self.weights is None:
            return {"": np.arange(self.n_features_in_)}
        families = find_families(self)
        if not families:
            raise ValueError(
                f"weights={self.weights!r} needs columns named after their families, as from "
                "FeatureUnion([...]).set_output(transform='pandas')."
            )
        return families

    def _find_gamma(self, X: NDArray) -> float:
        return find_gamma(self.gamma, X.shape[1], lambda: float(X.var(dtype=np.float64)))

    def _weigh_families(
        self, X: NDArray, codes: NDArray[np.intp], random_state: np.random.RandomState
    ) -> dict[str, float]:
        if isinstance(self.weights, Mapping):
            if set(self.weights) != set(self.families_) or min(self.weights.values()) < 0:
                raise ValueError(
                    f"weights={self.weights!r} must give a number of at least 0 for each of the "
                    f"families {sorted(self.families_)}."
                )
            values = np.array([self.weights[name] for name in self.families_], float)
        elif self.weights == "align" and len(self.families_) > 1:
            rows = random_state.permutation(len(X))[:ALIGNMENT_SAMPLE]
            values = align_kernels(
                [self._measure_family(X[rows], X[rows], name) for name in self.families_],
                codes[rows],
            )
        else:
            values = np.ones(len(self.families_))
        if not values.sum() > 0:
            raise ValueError(f"weights={self.weights!r} must not be 0 for all families.")
        return dict(zip(self.families_, (values / values.sum()).tolist(), strict=True))

    def _fit_exact(
        self, X: NDArray, codes: NDArray[np.intp], balance: NDArray, sample_weight: NDArray
    ) -> Self:
        few = len(X) <= FEW_ENOUGH_FOR_DOUBLES
        precision = find_precision(X, self.families_, self.gamma_)
        members = [np.flatnonzero(codes == code) for code in range(len(self.classes_))]
        pairs = (fit_pairs_at_once if few else fit_pairs)(
            [X[rows].astype(np.float64 if few else precision, copy=False) for rows in members],
            self._measure,
            self.C,
            balance,
            [sample_weight[rows] for rows in members],
        )
        chosen = [rows[found] for rows, found in zip(members, pairs.support, strict=True)]
        kept = np.promote_types(X.dtype, precision) if few else precision
        self.landmarks_ = X[np.concatenate(chosen)].astype(kept)
        self.n_support_ = np.array([len(rows) for rows in chosen])
        self.dual_coef_ = pairs.dual_coef
        self.intercept_: Any = pairs.intercepts
        self.__dict__.pop("coefficients_", None)
        return self

    def _fit_large(
        self,
        X: NDArray,
        codes: NDArray[np.intp],
        weights: NDArray[np.floating],
        random_state: np.random.RandomState,
    ) -> Self:
        X = X.astype(find_precision(X, self.families_, self.gamma_), copy=False)
        targets = LabelBinarizer(neg_label=-1).fit(range(len(self.classes_))).transform(codes)
        targets = targets.astype(np.float32)
        weights = np.broadcast_to(weights[:, np.newaxis], targets.shape).astype(np.float32)
        rows = random_state.permutation(len(X))
        if len(X) > self.n_components:
            rows = self._choose_landmarks(X, targets, weights, rows)
        self.landmarks_ = X[np.sort(rows)]
        _, self.coefficients_, self.intercept_ = self._solve(X, self.landmarks_, targets, weights)
        for name in ("n_support_", "dual_coef_"):
            self.__dict__.pop(name, None)
        return self

    def _choose_landmarks(
        self, X: NDArray, targets: NDArray, weights: NDArray, rows: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Return landmarks, given all rows, shuffled; see `choose_landmarks`."""
        pilot = X[draw_pilot(rows, self.n_components)]
        kernel, coefficients, intercept = self._solve(X, pilot, targets, weights)
        return choose_landmarks(kernel @ coefficients + intercept, targets, rows, self.n_components)

    def _solve(
        self, X: NDArray, landmarks: NDArray, targets: NDArray, weights: NDArray
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return the kernel between images and landmarks, the coefficients and the intercepts."""
        doubles = landmarks.astype(np.float64)
        between = self._measure(doubles, doubles)
        all_images = len(landmarks) == len(X)
        kernel = between if all_images else self._measure(X, landmarks)
        kernel = kernel.astype(np.float32, copy=False)
        return kernel, *fit_squared_hinge(kernel, between, targets, weights)

    def _decide(self, X: NDArray) -> NDArray[np.floating]:
        X = (X - self.center_).astype(self.landmarks_.dtype, copy=False)
        kernel = self._measure(X, self.landmarks_)
        values: NDArray[np.floating]
        if hasattr(self, "coefficients_"):
            values = kernel @ self.coefficients_ + self.intercept_
            # In single precision, log_loss would warn that probabilities do not sum to 1.
            values = values.astype(np.float64)
        else:
            values = decide_pairs(kernel, self.n_support_, self.dual_coef_, self.intercept_)
            if len(self.classes_) > 2:
                values = self._count_votes(values)
        return values[:, 0] if values.shape[1] == 1 else values

    def _count_votes(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        n_classes = len(self.classes_)
        if self.votes == "soft":
            return sum_soft_votes(values, n_classes)
        return ovr_decision_function(values > 0, values, n_classes)

    def _measure(self, X: NDArray, Z: NDArray) -> NDArray:
        """Return the kernel matrix between two arrays of images, in their dtype."""
        total: Any = None
        for name, weight in self.weights_.items():
            if weight > 0:
                part = self._measure_family(X, Z, name)
                part *= weight
                total = part if total is None else np.add(total, part, out=total)
        return total

    def _measure_family(self, X: NDArray, Z: NDArray, name: str) -> NDArray:
        if len(self.families_) > 1:
            X, Z = X[:, self.families_[name]], Z[:, self.families_[name]]
        return measure_rbf(X, Z, self.gamma_[name])


def _drop_zero_weights(X: NDArray, y: NDArray, sample_weight: NDArray) -> tuple[NDArray, ...]:
    """Leave out images of weight 0: with them, libsvm's support indices would be wrong."""
    kept = sample_weight > 0
    if not kept.any():
        raise ValueError(
            "sample_weight is 0 or negative for all images: weights must contain at least one "
            "non-zero, positive value."
        )
    return X[kept], y[kept], sample_weight[kept]
