"""Support vector machines that share distances: measured once a fold, whatever C and gamma are."""

import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.utils import check_array

from imgfeat._compat.sklearn_search import list_scorers, sees_predictions_only
from imgfeat.heads.gamma import find_gamma


class Distances:
    """Squared distances between rows, kept by the content of the rows.

    Of a search in this process; worker processes have one each, of the latest search they saw.

    Parameters
    ----------
    n_bytes : float
        To keep; what is least recently used goes first.
    name : str, default=None
        The same in all processes of a search.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.tuning.reuse.shared_distances import Distances
    >>> Distances(1e6).measure(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0]])).tolist()
    [[0.0], [25.0]]
    """

    def __init__(self, n_bytes: float, name: str | None = None):
        self.n_bytes = n_bytes
        self.name = name or uuid.uuid4().hex
        self._kept: OrderedDict[tuple[bytes, bytes], NDArray[np.float64]] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> Any:
        return _recall, (self.n_bytes, self.name)

    def measure(self, X: NDArray[Any], Z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the squared distances of rows of X from rows of Z, of shape (n, m)."""
        digest = _hash(Z)
        key = (digest if X is Z else _hash(X), digest)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # Far from 0, squared lengths cancel; distances do not see the center.
        center = Z.mean(axis=0, dtype=np.float64)
        doubles = Z - center
        others = doubles if X is Z else X - center
        squares = euclidean_distances(others, doubles, squared=True)
        squares.setflags(write=False)
        with self._lock:
            self._kept[key] = squares
            while sum(kept.nbytes for kept in self._kept.values()) > self.n_bytes:
                self._kept.popitem(last=False)
        return squares


class SharedKernel:
    """An RBF kernel, as a callable for SVC, made of distances that others use as well."""

    def __init__(self, gamma: float | str, distances: Distances):
        self.gamma = gamma
        self.distances = distances

    def __call__(self, X: Any, Z: Any) -> NDArray[np.float64]:
        """Return the kernel between rows of X and Z; SVC hands over what it was fitted on as Z."""
        Z_checked = _check(Z)
        X = Z_checked if X is Z else _check(X)
        gamma = find_gamma(self.gamma, Z_checked.shape[1], lambda: _measure_variance(Z_checked))
        if scipy.sparse.issparse(X):
            return rbf_kernel(X, Z_checked, gamma)
        kernel = self.distances.measure(X, Z_checked) * -gamma
        return np.exp(kernel, out=kernel)


def _measure_variance(Z: Any) -> float:
    if scipy.sparse.issparse(Z):
        return Z.multiply(Z).mean() - Z.mean() ** 2
    return Z.astype(np.float64, copy=False).var()


def share_distances(estimator: Any, distances: Distances) -> Any:
    """Let an SVC with an RBF kernel, alone or at the end of a pipeline, share distances.

    It finds the same support vectors, several times sooner than libsvm, which measures distances
    again whenever it needs them. Its fitted attributes are those of a kernel matrix.

    Parameters
    ----------
    estimator : estimator
        Not fitted; changed in place. Others than these stay as they are: inside of ensembles, some
        images may weigh nothing, and with a kernel matrix libsvm loses count of those.
    distances : Distances

    Returns
    -------
    estimator : estimator
    """
    last = estimator
    while isinstance(last, Pipeline):
        last = last[-1]
    if type(last) is SVC and last.kernel == "rbf":
        last.set_params(kernel=SharedKernel(last.gamma, distances))
    return estimator


def make_distances(
    folds: Sequence[tuple[NDArray[Any], NDArray[Any]]],
    scorer: Any,
    fit_params: Mapping[str, Any],
    n_bytes: float,
) -> Distances | None:
    """Return what the trials of a search share.

    Parameters
    ----------
    folds : sequence of (train, test) arrays of rows
    scorer : callable
        As scikit-learn's searches have it: one scorer, or its collection of several.
    fit_params : dict
        For the estimator.
    n_bytes : float
        To keep.

    Returns
    -------
    distances : Distances or None
        None where those of a single setting would take more than that, there are weights, or a
        scorer looks at more than predictions, such as support vectors or the size.
    """
    needed = sum(8 * len(train) * (len(train) + len(test)) for train, test in folds)
    if needed > n_bytes or fit_params or not _sees_predictions(scorer):
        return None
    return Distances(n_bytes)


def _sees_predictions(scorer: Any) -> bool:
    parts = (list_scorers(scorer) or {"score": scorer}).values()
    return all(map(sees_predictions_only, parts))


def _check(X: Any) -> Any:
    return check_array(
        X,
        accept_sparse="csr",
        dtype=[np.float64, np.float32],
        order="C",
        estimator="SVC",
        input_name="X",
    )


def _hash(X: NDArray[Any]) -> bytes:
    digest = hashlib.blake2b(f"{X.dtype.str} {X.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(X).data)
    return digest.digest()


_LATEST: dict[str, Distances] = {}


def _recall(n_bytes: float, name: str) -> Distances:
    if name not in _LATEST:
        _LATEST.clear()
        _LATEST[name] = Distances(n_bytes, name)
    return _LATEST[name]
