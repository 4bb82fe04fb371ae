"""What features depend on: the settings of the transformer, and the content of the image.

All keys of caches are made here, from the digests of `imgfeat.caching.content`.
"""

import platform
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import get_tags

from imgfeat.caching.code import find_version
from imgfeat.caching.content import CannotIdentifyError, Digester, digest_value, join_parts

# What decodes, resizes and computes, in whatever imgfeat does.
PACKAGES = ("imgfeat", "sklearn", "numpy", "PIL", "cv2", "numba", "scipy")
# Parameters that say how fast it goes, or where results are put, and not what they are.
SPEED_ANYWHERE = {"cache_size", "n_jobs", "n_threads", "verbose"}
SPEED = {
    "imgfeat": SPEED_ANYWHERE
    | {"batch_size", "cache_bytes", "cache_dir", "memory", "out", "progress"},
    "sklearn": SPEED_ANYWHERE | {"memory"},
    "imblearn": SPEED_ANYWHERE | {"memory"},
}


def fingerprint(transformer: Any) -> str:
    """Return what tells a transformer that learns nothing from those that make other features.

    Parameters
    ----------
    transformer : transformer
        Fitted or not; Pipelines, FeatureUnions and ColumnTransformers of such as well.

    Returns
    -------
    fingerprint : str
        32 hexadecimal digits, the same in every process: of classes and parameters, of the contents
        of the files that they name, of the code of the user's own classes and functions and of all
        that it calls, and of the versions of packages. An estimator may name what decides its
        result by a method ``_get_cache_params``, which returns a dict.

    Raises
    ------
    CannotIdentifyError
        If the content of a parameter cannot be told; then nothing may be kept.

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


def find_fingerprint(transformer: Any) -> str | None:
    """Return `fingerprint`, or None where the content of a parameter cannot be told."""
    try:
        return fingerprint(transformer)
    except CannotIdentifyError:
        return None


class EstimatorDigester(Digester):
    """Digests what `sklearn.base.clone` keeps: of estimators, class and parameters.

    Parameters
    ----------
    content : Digester
        Of all else. What estimators have learnt counts where `clone` keeps it: within functions,
        dicts and other objects, and of a FrozenEstimator.
    """

    def __init__(self, content: Digester):
        super().__init__()
        self.content = content

    def digest_special(self, value: Any, by_type: bool) -> bytes | None:
        """Digest estimators, leave containers that `clone` goes through to the base class."""
        kind = type(value)
        if kind in (list, tuple, set, frozenset):
            return None
        clones = getattr(kind, "__sklearn_clone__", BaseEstimator.__sklearn_clone__)
        is_cloned = clones is BaseEstimator.__sklearn_clone__
        if isinstance(value, type) or not (hasattr(value, "get_params") and is_cloned):
            return self.content.digest(value, by_type=by_type)
        return join_parts("estimator", self.digest(kind), *self.digest_params(value))

    def digest_params(self, estimator: Any) -> list[bytes]:
        """Return the digests of the parameters that decide what an estimator makes."""
        package = type(estimator).__module__.partition(".")[0]
        read = getattr(estimator, "_get_cache_params", None)
        params = estimator.get_params(deep=False) if read is None else read()
        # To imgfeat's own transformers, which learn nothing, types do not count.
        by_type = package != "imgfeat" or get_tags(estimator).requires_fit
        names = sorted(params.keys() - SPEED.get(package, SPEED_ANYWHERE))
        return [
            join_parts(f"parameter {name}", self.digest(params[name], by_type=by_type))
            for name in names
        ]
