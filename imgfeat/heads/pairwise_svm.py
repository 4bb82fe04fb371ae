"""One support vector machine for each pair of classes, on kernel matrices that BLAS computes.

This is what libsvm solves, class against class. Nearly all of its time goes into the kernel, one
entry after another; from a matrix that is already there, a machine takes a fraction of a second.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context
from sklearn.svm import SVC

# Steep enough for labels by votes, not so steep that values tell nothing more than votes.
STEEPNESS = 10.0


@dataclass(frozen=True, eq=False)
class Pairs:
    """The machines of all pairs, laid out as SVC lays them out.

    Attributes
    ----------
    support : list of ndarray of int
        For each class, which of its images are support vectors of one machine or more.
    dual_coef : ndarray of shape (k - 1, m)
        Of the m support vectors, class by class: a row for each of the other classes.
    intercepts : ndarray of shape (k * (k - 1) / 2,)
        Of the pairs (0, 1), (0, 2) ... (1, 2) ...
    """

    support: list[NDArray[np.intp]]
    dual_coef: NDArray[np.float64]
    intercepts: NDArray[np.float64]


def fit_together(
    groups: Sequence[NDArray[np.floating]],
    measure: Callable[[NDArray, NDArray], NDArray[np.floating]],
    C: float,
    class_weight: NDArray[np.floating],
    sample_weight: Sequence[NDArray[np.floating]],
) -> Pairs:
    """Do what `fit_pairs` does from one matrix of all images: quicker for many small classes."""
    k = len(groups)
    sizes = [len(group) for group in groups]
    images = np.concatenate(groups)
    machine = SVC(
        C=C, kernel="precomputed", class_weight=dict(enumerate(class_weight)), cache_size=1000
    ).fit(measure(images, images), np.repeat(range(k), sizes), np.concatenate(sample_weight))
    starts = np.cumsum([0, *sizes[:-1]])
    found = np.split(machine.support_, np.cumsum(machine.n_support_)[:-1])
    support = [rows - start for rows, start in zip(found, starts, strict=True)]
    # For two classes, scikit-learn turns libsvm's signs.
    sign = 1 if k == 2 else -1
    return Pairs(support, sign * machine.dual_coef_, sign * machine.intercept_)


def fit_pairs(
    groups: Sequence[NDArray[np.floating]],
    measure: Callable[[NDArray, NDArray], NDArray[np.floating]],
    C: float,
    class_weight: NDArray[np.floating],
    sample_weight: Sequence[NDArray[np.floating]],
) -> Pairs:
    """Solve what ``SVC`` solves for each pair of classes.

    Parameters
    ----------
    groups : sequence of k arrays of shape (n_images, d)
        The images of each class.
    measure : callable
        The kernel matrix of two arrays of images.
    C : float
        How much a violated margin costs.
    class_weight : ndarray of k floats
        Multiply C for each class.
    sample_weight : sequence of k arrays of shape (n_images,)
        Multiply C for each image.

    Returns
    -------
    pairs : Pairs
        The second class of a pair is on the positive side.
    """
    k = len(groups)
    within = [measure(group, group) for group in groups]
    dual = [np.zeros((k - 1, len(group))) for group in groups]
    intercepts = []
    # One matrix for all: fresh memory takes longer to get than to fill.
    space = np.empty(sum(sorted(map(len, groups))[-2:]) ** 2)
    for i, j in combinations(range(k), 2):
        n_first, n = len(groups[i]), len(groups[i]) + len(groups[j])
        kernel = space[: n * n].reshape(n, n)
        kernel[:n_first, :n_first] = within[i]
        kernel[n_first:, n_first:] = within[j]
        kernel[:n_first, n_first:] = measure(groups[i], groups[j])
        kernel[n_first:, :n_first] = kernel[:n_first, n_first:].T
        machine = SVC(
            C=C,
            kernel="precomputed",
            class_weight={0: class_weight[i], 1: class_weight[j]},
            cache_size=1000,
        )
        with config_context(assume_finite=True):
            machine.fit(
                kernel,
                (np.arange(n) >= n_first).astype(int),
                np.concatenate([sample_weight[i], sample_weight[j]]),
            )
        first = machine.support_ < n_first
        dual[i][j - 1, machine.support_[first]] = machine.dual_coef_[0, first]
        dual[j][i, machine.support_[~first] - n_first] = machine.dual_coef_[0, ~first]
        intercepts.append(machine.intercept_[0])
    support = [np.flatnonzero(coef.any(axis=0)) for coef in dual]
    kept = [coef[:, rows] for coef, rows in zip(dual, support, strict=True)]
    return Pairs(support, np.concatenate(kept, axis=1), np.array(intercepts))


def decide_pairs(
    kernel: NDArray[np.floating],
    n_support: NDArray[np.intp],
    dual_coef: NDArray[np.float64],
    intercepts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what the machine of each pair says of images, above 0 for its second class.

    Parameters
    ----------
    kernel : ndarray of shape (n, m)
        Between images and support vectors, class by class.
    n_support : ndarray of k ints
        How many of these each class has.
    dual_coef, intercepts : ndarray
        See `Pairs`.

    Returns
    -------
    values : ndarray of shape (n, n_pairs)
    """
    k = len(n_support)
    pairs = {pair: column for column, pair in enumerate(combinations(range(k), 2))}
    values = np.tile(intercepts, (len(kernel), 1))
    for one, columns in enumerate(_cut(n_support)):
        parts = kernel[:, columns] @ dual_coef[:, columns].T
        others = [other for other in range(k) if other != one]
        values[:, [pairs[min(one, o), max(one, o)] for o in others]] += parts
    return values


def count_softly(values: NDArray[np.float64], n_classes: int) -> NDArray[np.float64]:
    """Return how surely each class wins all its pairs, as a logarithm.

    A vote counts a class once, however narrowly it wins; here, a pair goes to either class with the
    probability that a steep logistic function gives its value.

    Parameters
    ----------
    values : ndarray of shape (n, n_pairs)
        From `decide_pairs`.
    n_classes : int

    Returns
    -------
    scores : ndarray of shape (n, n_classes)
        Below 0; the largest is nearly always that of the class with most votes.
    """
    scores = np.zeros((len(values), n_classes))
    steep = STEEPNESS * values
    for column, (i, j) in enumerate(combinations(range(n_classes), 2)):
        scores[:, i] -= np.logaddexp(0, steep[:, column])
        scores[:, j] -= np.logaddexp(0, -steep[:, column])
    return scores


def _cut(sizes: NDArray[np.intp]) -> Iterator[slice]:
    ends = np.cumsum(sizes)
    return (slice(end - size, end) for end, size in zip(ends, sizes, strict=True))
