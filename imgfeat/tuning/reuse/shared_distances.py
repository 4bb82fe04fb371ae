"""SVCs that share distances, computed once for each fold and reused for all C and gamma."""

import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, csr_matrix
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC
from sklearn.utils import check_array

from imgfeat._compat.sklearn_search import list_scorers, sees_predictions_only
from imgfeat._protocols import Estimator
from imgfeat.heads.kernel_methods.rbf import find_gamma


class Distances:
    """A cache of squared distances between rows, with the content of the rows as key.

    A search has one instance in its own process, and one in each worker process. A worker keeps
    only the instance of the latest search.

    Parameters
    ----------
    n_bytes : float
        Maximum size of the cache; the least recently used distances are dropped.
    name : str, default=None
        Identifies the search in all its processes; None generates a name.

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
        return _get_distances, (self.n_bytes, self.name)

    def measure(self, X: NDArray[Any], Z: NDArray[Any]) -> NDArray[np.float64]:
        """Return the squared distances between rows of X and rows of Z, of shape (n, m)."""
        digest = _hash(Z)
        key = (digest if X is Z else _hash(X), digest)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        # Centred, since squared lengths of rows far from 0 would cancel.
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
    """An RBF kernel, as a callable for SVC, computed from shared distances."""

    def __init__(self, gamma: float | str, distances: Distances):
        self.gamma = gamma
        self.distances = distances

    def __call__(self, X: ArrayLike, Z: ArrayLike) -> NDArray[np.float64]:
        """Return the kernel between rows of X and of Z, which is the training data of the SVC."""
        training = _check(Z)
        images = training if X is Z else _check(X)
        gamma = find_gamma(self.gamma, training.shape[1], lambda: _measure_variance(training))
        if scipy.sparse.issparse(images):
            return rbf_kernel(images, training, gamma)
        kernel = self.distances.measure(images, training) * -gamma
        return np.exp(kernel, out=kernel)


def _measure_variance(Z: NDArray[np.floating] | csr_array | csr_matrix) -> float:
    if isinstance(Z, np.ndarray):
        return Z.astype(np.float64, copy=False).var()
    return Z.multiply(Z).mean() - Z.mean() ** 2


def share_distances(estimator: Estimator, distances: Distances) -> Any:
    """Give an SVC with an RBF kernel, alone or at the end of a pipeline, a kernel that is shared.

    The support vectors are the same, but fitting is several times faster than with libsvm's own
    kernel, which recomputes distances. The fitted attributes are those of a callable kernel.

    Parameters
    ----------
    estimator : estimator
        Not fitted; changed in place. Other estimators are not changed. This includes ensembles of
        SVCs, which may use weights of 0: with these and a kernel matrix, libsvm's support indices
        are wrong.
    distances : Distances

    Returns
    -------
    estimator : estimator
    """
    last: Any = estimator
    while isinstance(last, Pipeline):
        last = last[-1]
    if type(last) is SVC and last.kernel == "rbf":
        last.set_params(kernel=SharedKernel(last.gamma, distances))
    return estimator


def make_distances(
    folds: Sequence[tuple[NDArray[Any], NDArray[Any]]],
    scorer: Callable[..., Any],
    fit_params: Mapping[str, Any],
    n_bytes: float,
) -> Distances | None:
    """Return the cache of distances for the trials of a search.

    Parameters
    ----------
    folds : sequence of (train, test) arrays of rows
    scorer : callable
        A scorer, or scikit-learn's multimetric scorer.
    fit_params : dict
        Parameters for the estimator's `fit`.
    n_bytes : float
        Maximum size of the cache.

    Returns
    -------
    distances : Distances or None
        None if the distances for one parameter setting would exceed `n_bytes`, there are
        `fit_params`, such as weights, or a scorer may use more than predictions, such as the
        support vectors or the size.
    """
    needed = sum(8 * len(train) * (len(train) + len(test)) for train, test in folds)
    if needed > n_bytes or fit_params or not _uses_predictions_only(scorer):
        return None
    return Distances(n_bytes)


def _uses_predictions_only(scorer: Callable[..., Any]) -> bool:
    parts = (list_scorers(scorer) or {"score": scorer}).values()
    return all(map(sees_predictions_only, parts))


def _check(X: ArrayLike) -> Any:
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


def _get_distances(n_bytes: float, name: str) -> Distances:
    if name not in _LATEST:
        _LATEST.clear()
        _LATEST[name] = Distances(n_bytes, name)
    return _LATEST[name]
