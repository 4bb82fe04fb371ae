"""What features depend on: the settings of the transformer, and the content of the image.

All keys of caches are made here, from the digests of `imgfeat.caching.content`.
"""

import platform
from typing import Any

from sklearn.base import BaseEstimator

from imgfeat.caching.code import find_version
from imgfeat.caching.content import CannotIdentifyError, Digester, digest_value, join_parts

# What decodes, resizes and computes, in whatever imgfeat does.
PACKAGES = ("imgfeat", "sklearn", "numpy", "PIL", "cv2", "numba", "scipy")
# Parameters that say how fast it goes, or where results are put, and not what they are.
SPEED = {
    "imgfeat": {
        "batch_size", "cache_dir", "memory", "n_jobs", "n_threads", "out", "progress", "verbose",
    },
    "sklearn": {"memory", "n_jobs", "verbose"},
}  # fmt: skip
SPEED_ANYWHERE = {"n_jobs", "verbose"}


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
    parts = (digest_value([*versions, platform.machine()]), _Estimators().digest(transformer))
    return join_parts("fingerprint", *parts).hex()


def find_fingerprint(transformer: Any) -> str | None:
    """Return `fingerprint`, or None where the content of a parameter cannot be told."""
    try:
        return fingerprint(transformer)
    except CannotIdentifyError:
        return None


class _Estimators(Digester):
    """Knows of estimators that their parameters decide what they make."""

    def digest_special(self, value: Any) -> bytes | None:
        if not isinstance(value, BaseEstimator):
            return None
        kind = type(value)
        package = kind.__module__.partition(".")[0]
        read = getattr(value, "_get_cache_params", None)
        params = value.get_params(deep=False) if read is None else read()
        speed = SPEED.get(package, SPEED_ANYWHERE)
        parts = [self.digest(kind)]
        for name in sorted(params.keys() - speed):
            # Of imgfeat's own parameters it is known that types do not count.
            part = self.digest(params[name], by_type=package != "imgfeat")
            parts += [self.digest(name), part]
        return join_parts("estimator", *parts)
