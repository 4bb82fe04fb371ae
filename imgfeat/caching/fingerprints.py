"""Cache keys of transformers: digests of all that determines their output.

The digests of parameters are those of `imgfeat.caching.content`.
"""

import platform
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import get_tags

from imgfeat._protocols import Estimator, Transformer
from imgfeat.caching.code import find_version
from imgfeat.caching.content import CannotIdentifyError, Digester, digest_value, join_parts

# Packages that decode, resize and compute.
PACKAGES = ("imgfeat", "sklearn", "numpy", "PIL", "cv2", "numba", "scipy")
# Parameters that affect speed or the location of results, but not the results.
SPEED_ANYWHERE = {"cache_size", "n_jobs", "n_threads", "verbose"}
SPEED = {
    "imgfeat": SPEED_ANYWHERE
    | {"batch_size", "cache_bytes", "cache_dir", "memory", "out", "progress"},
    "sklearn": SPEED_ANYWHERE | {"memory"},
    "imblearn": SPEED_ANYWHERE | {"memory"},
}


def fingerprint(transformer: Transformer) -> str:
    """Return a string that identifies a stateless transformer by all that determines its output.

    Parameters
    ----------
    transformer : transformer
        Stateless transformer, fitted or not, or a Pipeline, FeatureUnion or ColumnTransformer of
        stateless transformers.

    Returns
    -------
    fingerprint : str
        32 hexadecimal digits, the same in every process: a digest of classes and parameters, of the
        content of files that parameters name, of the code of the user's own classes and functions
        and of all that it calls, and of package versions. An estimator may define a method
        ``_get_cache_params``, which returns a dict of all that determines its result.

    Raises
    ------
    CannotIdentifyError
        If the content of a parameter cannot be hashed; results must then not be cached.

    Examples
    --------
    >>> from imgfeat import HOG
    >>> from imgfeat.caching.fingerprints import fingerprint
    >>> fingerprint(HOG(n_jobs=2)) == fingerprint(HOG()), fingerprint(HOG(6)) == fingerprint(HOG())
    (True, False)
    """
    versions = [find_version(package) for package in PACKAGES]
    parts = (
        digest_value([*versions, platform.machine()]),
        EstimatorDigester(Digester()).digest(transformer),
    )
    return join_parts("fingerprint", *parts).hex()


def find_fingerprint(transformer: Transformer) -> str | None:
    """Return `fingerprint`, or None if the content of a parameter cannot be hashed."""
    try:
        return fingerprint(transformer)
    except CannotIdentifyError:
        return None


class EstimatorDigester(Digester):
    """Computes digests of what `sklearn.base.clone` copies: class and parameters of estimators.

    Parameters
    ----------
    content : Digester
        Computes digests of other values. These include fitted attributes where `clone` keeps them:
        of estimators in functions, dicts and other objects, and of FrozenEstimator.
    """

    def __init__(self, content: Digester):
        super().__init__()
        self.content = content

    def digest_special(self, value: Any, by_type: bool) -> bytes | None:
        """Digest estimators, and leave containers that `clone` traverses to the base class."""
        kind = type(value)
        if kind in (list, tuple, set, frozenset):
            return None
        clones = getattr(kind, "__sklearn_clone__", BaseEstimator.__sklearn_clone__)
        is_cloned = clones is BaseEstimator.__sklearn_clone__
        if isinstance(value, type) or not (hasattr(value, "get_params") and is_cloned):
            return self.content.digest(value, by_type=by_type)
        return join_parts("estimator", self.digest(kind), *self.digest_params(value))

    def digest_params(self, estimator: Estimator) -> list[bytes]:
        """Return the digests of the parameters that determine an estimator's output."""
        package = type(estimator).__module__.partition(".")[0]
        read = getattr(estimator, "_get_cache_params", None)
        params = estimator.get_params(deep=False) if read is None else read()
        # imgfeat's own stateless transformers give equal results for equal values of other types.
        by_type = package != "imgfeat" or get_tags(estimator).requires_fit
        names = sorted(params.keys() - SPEED.get(package, SPEED_ANYWHERE))
        return [
            join_parts(f"parameter {name}", self.digest(params[name], by_type=by_type))
            for name in names
        ]
