"""What features hang on: the settings of the transformer, and the content of the image."""

import functools
import hashlib
import inspect
import marshal
import os
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

import joblib
import numpy as np
import sklearn
from numpy.typing import NDArray
from PIL import Image
from sklearn.base import BaseEstimator

import imgfeat

# Packages whose code changes with their version only.
VERSIONED = ("imgfeat", "sklearn", "builtins")
# Parameters that say how fast it goes, or where results are put, and not what they are.
SPEED = {"batch_size", "memory", "n_jobs", "n_threads", "out", "progress", "verbose"}


def fingerprint(transformer: Any) -> str:
    """Return what tells a transformer that learns nothing from those that make other features.

    Parameters
    ----------
    transformer : transformer
        Fitted or not; Pipelines, FeatureUnions and ColumnTransformers of such as well.

    Returns
    -------
    fingerprint : str
        32 hexadecimal digits, the same in every process, of classes, parameters and the contents
        of the files that they name, and of the versions of imgfeat and scikit-learn, which may
        compute otherwise in the next; of other classes, of the code of their methods.

    Examples
    --------
    >>> from imgfeat import HOG
    >>> from imgfeat.caching.fingerprints import fingerprint
    >>> fingerprint(HOG(n_jobs=2)) == fingerprint(HOG()), fingerprint(HOG(6)) == fingerprint(HOG())
    (True, False)
    """
    versions = (imgfeat.__version__, sklearn.__version__)
    return hashlib.blake2b(
        repr((versions, _describe(transformer))).encode(), digest_size=16
    ).hexdigest()


def hash_samples(X: Any) -> list[bytes | None]:
    """Return a digest of the content of each image.

    Parameters
    ----------
    X : sequence, array or frame of n images
        Whatever ImageLoader or a transformer of images takes. Of paths, the bytes of the files
        count, not their names.

    Returns
    -------
    digests : list of n bytes or None
        16 bytes each; None for files that cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.caching.fingerprints import hash_samples
    >>> black, white = np.zeros((2, 2)), np.ones((2, 2))
    >>> first, second, third = hash_samples(np.stack([black, white, black]))
    >>> first == third, first == second
    (True, False)
    """
    if hasattr(X, "iloc"):
        values = X.to_numpy()
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        X = values
    return [_hash_sample(X[number]) for number in range(len(X))]


def _describe(value: Any) -> Any:
    """Return nested tuples and strings that tell one value from another."""
    if isinstance(value, BaseEstimator) and not isinstance(value, type):
        output = getattr(value, "_sklearn_output_config", {})
        parameters = sorted(value.get_params(deep=False).items())
        return (
            _name(type(value)),
            _list_code(type(value)),
            sorted(output.items()),
            [(name, _describe(part)) for name, part in parameters if name not in SPEED],
        )
    if isinstance(value, list | tuple):
        return [_describe(part) for part in value]
    if isinstance(value, Mapping):
        return [(repr(key), _describe(part)) for key, part in value.items()]
    if isinstance(value, str | Path):
        return (str(value), _read_file(value) if os.path.isfile(value) else "")
    if value is None or isinstance(value, bool | int | float | bytes | type):
        return repr(value)
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return (_name(value), _dump_code(value), _describe([value.__defaults__, cells]))
    return joblib.hash(value)


def _list_code(kind: type) -> list[bytes]:
    bases = [base for base in kind.__mro__ if base.__module__.split(".")[0] not in VERSIONED]
    members = [member for base in bases for member in vars(base).values()]
    # scikit-learn wraps `transform`, which makes frames.
    functions = [inspect.unwrap(member) for member in members if isinstance(member, FunctionType)]
    return [_dump_code(function) for function in functions]


def _dump_code(function: FunctionType) -> bytes:
    # Later formats hang on who else holds the same strings.
    return marshal.dumps(function.__code__, 2)


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _read_file(path: str | Path) -> str:
    status = os.stat(path)
    return _hash_file(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _hash_file(path: str, size: int, mtime_ns: int) -> str:
    """Hash a file once for each change, since weights are large and every trial asks."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _hash_sample(sample: Any) -> bytes | None:
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(sample, str | os.PathLike):
        try:
            with open(sample, "rb") as file:
                content: Any = file.read()
        except OSError:
            return None
        digest.update(b"file")
        digest.update(content)
    elif isinstance(sample, bytes | bytearray | memoryview):
        digest.update(b"file")
        digest.update(sample)
    elif isinstance(sample, Image.Image):
        digest.update(f"{sample.mode} {sample.size} {sorted(sample.getexif().items())}".encode())
        digest.update(sample.tobytes())
    else:
        _add_array(digest, np.asarray(sample))
    return digest.digest()


def _add_array(digest: Any, array: NDArray[Any]) -> None:
    digest.update(f"{array.dtype.str} {array.shape}".encode())
    if array.dtype.hasobject:
        digest.update(joblib.hash(array).encode())
    else:
        digest.update(np.ascontiguousarray(array).data)
