"""One-vs-one support vector machines, on kernel matrices that BLAS computes.

libsvm solves the same problems, but computes the kernel entry by entry, which takes nearly all of
its time. With a precomputed kernel matrix, fitting one SVM takes a fraction of a second.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.svm import SVC

# Slope of the logistic function of soft votes: steep, so that labels are those of hard votes, but
# not so steep that values are counts of votes.
STEEPNESS = 10.0


@dataclass(frozen=True, eq=False)
class OneVsOneSVMs:
    """The SVMs of all pairs of classes, in the layout of SVC's attributes.

    Attributes
    ----------
    support : list of ndarray of int
        For each class, which of its images are support vectors of at least one SVM.
    dual_coef : ndarray of shape (k - 1, m)
        Coefficients of the m support vectors, sorted by class; one row for each other class.
    intercepts : ndarray of shape (k * (k - 1) / 2,)
        Intercepts of the pairs (0, 1), (0, 2) ... (1, 2) ...
    """

    support: list[NDArray[np.intp]]
    dual_coef: NDArray[np.float64]
    intercepts: NDArray[np.float64]


def fit_pairs_at_once(
    groups: Sequence[NDArray[np.floating]],
    measure: Callable[[NDArray, NDArray], NDArray[np.floating]],
    C: float,
    class_weight: NDArray[np.floating],
    sample_weight: Sequence[NDArray[np.floating]],
) -> OneVsOneSVMs:
    """Fit as `fit_pairs`, from one kernel matrix of all images: faster for many small classes."""
    k = len(groups)
    sizes = [len(group) for group in groups]
    images = np.concatenate(groups)
    svc = SVC(
        C=C, kernel="precomputed", class_weight=dict(enumerate(class_weight)), cache_size=1000
    ).fit(measure(images, images), np.repeat(range(k), sizes), np.concatenate(sample_weight))
    starts = np.cumsum([0, *sizes[:-1]])
    found = np.split(svc.support_, np.cumsum(svc.n_support_)[:-1])
    support = [rows - start for rows, start in zip(found, starts, strict=True)]
    # For two classes, scikit-learn flips the sign of libsvm's coefficients.
    sign = 1 if k == 2 else -1
    return OneVsOneSVMs(support, sign * svc.dual_coef_, sign * svc.intercept_)


def fit_pairs(
    groups: Sequence[NDArray[np.floating]],
    measure: Callable[[NDArray, NDArray], NDArray[np.floating]],
    C: float,
    class_weight: NDArray[np.floating],
    sample_weight: Sequence[NDArray[np.floating]],
) -> OneVsOneSVMs:
    """Fit an SVM for each pair of classes, to the same solution as ``SVC``.

    Parameters
    ----------
    groups : sequence of k arrays of shape (n_images, d)
        The images of each class.
    measure : callable
        Returns the kernel matrix between two arrays of images.
    C : float
        Inverse regularisation strength.
    class_weight : ndarray of k floats
        Multiplies C for each class.
    sample_weight : sequence of k arrays of shape (n_images,)
        Multiplies C for each image.

    Returns
    -------
    pairs : OneVsOneSVMs
        The decision function of a pair is positive for its second class.
    """
    k = len(groups)
    within = [measure(group, group) for group in groups]
    dual = [np.zeros((k - 1, len(group))) for group in groups]
    intercepts = []
    # Allocated once for all pairs, since allocation takes longer than filling.
    space = np.empty(sum(sorted(map(len, groups))[-2:]) ** 2)
    for i, j in combinations(range(k), 2):
        n_first, n = len(groups[i]), len(groups[i]) + len(groups[j])
        kernel = space[: n * n].reshape(n, n)
        kernel[:n_first, :n_first] = within[i]
        kernel[n_first:, n_first:] = within[j]
        kernel[:n_first, n_first:] = measure(groups[i], groups[j])
        kernel[n_first:, :n_first] = kernel[:n_first, n_first:].T
        svc = SVC(
            C=C,
            kernel="precomputed",
            class_weight={0: class_weight[i], 1: class_weight[j]},
            cache_size=1000,
        )
        with config_context(assume_finite=True):
            svc.fit(
                kernel,
                (np.arange(n) >= n_first).astype(int),
                np.concatenate([sample_weight[i], sample_weight[j]]),
            )
        first = svc.support_ < n_first
        dual[i][j - 1, svc.support_[first]] = svc.dual_coef_[0, first]
        dual[j][i, svc.support_[~first] - n_first] = svc.dual_coef_[0, ~first]
        intercepts.append(svc.intercept_[0])
    support = [np.flatnonzero(coef.any(axis=0)) for coef in dual]
    kept = [coef[:, rows] for coef, rows in zip(dual, support, strict=True)]
    return OneVsOneSVMs(support, np.concatenate(kept, axis=1), np.array(intercepts))


def decide_pairs(
    kernel: NDArray[np.floating],
    n_support: NDArray[np.intp],
    dual_coef: NDArray[np.float64],
    intercepts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the decision function of each one-vs-one SVM, positive for its second class.

    Parameters
    ----------
    kernel : ndarray of shape (n, m)
        Between images and support vectors, which are sorted by class.
    n_support : ndarray of k ints
        Number of support vectors of each class.
    dual_coef, intercepts : ndarray
        See `OneVsOneSVMs`.

    Returns
    -------
    values : ndarray of shape (n, n_pairs)
    """
    k = len(n_support)
    pairs = {pair: column for column, pair in enumerate(combinations(range(k), 2))}
    values = np.tile(intercepts, (len(kernel), 1))
    for one, columns in enumerate(_list_slices(n_support)):
        parts = kernel[:, columns] @ dual_coef[:, columns].T
        others = [other for other in range(k) if other != one]
        values[:, [pairs[min(one, o), max(one, o)] for o in others]] += parts
    return values


def sum_soft_votes(values: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Return the sum of log probabilities that a class wins its pairs, for each class.

    The probability that a class wins a pair is a steep logistic function of the pair's decision
    function. Unlike counts of votes, the sums depend on how clearly a class wins.

    Parameters
    ----------
    values : ndarray of shape (n, n_pairs)
        From `decide_pairs`.
    n_classes : int

    Returns
    -------
    scores : ndarray of shape (n, n_classes)
        Negative; the largest is nearly always that of the class with most votes.
    """
    scores = np.zeros((len(values), n_classes))
    steep = STEEPNESS * values
    for column, (i, j) in enumerate(combinations(range(n_classes), 2)):
        scores[:, i] -= np.logaddexp(0, steep[:, column])
        scores[:, j] -= np.logaddexp(0, -steep[:, column])
    return scores


def _list_slices(sizes: NDArray[np.intp]) -> Iterator[slice]:
    ends = np.cumsum(sizes)
    return (slice(end - size, end) for end, size in zip(ends, sizes, strict=True))
