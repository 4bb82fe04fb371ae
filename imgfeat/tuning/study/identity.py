"""Identity of a search: only searches with equal identity may share the trials of a study."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
import sklearn
from numpy.typing import NDArray
from scipy.sparse import sparray, spmatrix

import imgfeat
from imgfeat._protocols import Estimator
from imgfeat.caching.content import CannotIdentifyError, digest_value
from imgfeat.caching.image_digests import hash_samples, join_digests
from imgfeat.tuning.fold_scoring import ErrorScore
from imgfeat.tuning.space import Space
from imgfeat.tuning.study.digests import digest

PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"
# Maximum length of the readable description of a part.
N_CHARACTERS = 300

Part = dict[str, str | None]


def identify(
    *,
    directions: Sequence[str],
    folds: Sequence[tuple[Any, Any]],
    y: Any,
    space: Space,
    scoring: str | Callable | Sequence[str] | Mapping[str, Any] | None,
    objectives: Sequence[str],
    error_score: ErrorScore,
    metadata: Mapping[str, Any],
    X: Any,
    estimator: Estimator,
) -> dict[str, Part]:
    """Return digests and descriptions of everything that determines the scores of a search.

    Parameters
    ----------
    directions : sequence of str
        Of the objectives.
    folds : sequence of (train, test)
        Row numbers.
    y : array-like or None
    space : Space
    scoring : object
        As scikit-learn's searches take it.
    objectives : sequence of str
        Names of the scores that the study optimises.
    error_score : "raise" or float
    metadata : dict
        Parameters passed to `fit` and to scorers.
    X : sequence, array or frame of images
    estimator : estimator

    Returns
    -------
    identity : dict of str to dict
        For each part, its ``digest``, or None if it cannot be identified, and its ``text``, a
        readable description.
    """
    versions = f"imgfeat {imgfeat.__version__}, scikit-learn {sklearn.__version__}, {PYTHON}"
    score = error_score if isinstance(error_score, str) else repr(float(error_score))
    return {
        "directions": _make_part(", ".join(directions)),
        "folds": _make_part(_count_folds(folds), hash_folds(folds)),
        "labels": _make_part(_count_labels(y), hash_labels(y)),
        "space": _digest_part(space.content, str(space)),
        "scoring": _digest_part(
            [scoring, list(objectives)], f"{_show(scoring)}, best by {', '.join(objectives)}"
        ),
        "error_score": _make_part(score),
        "metadata": _digest_part(dict(metadata), ", ".join(metadata) or "none"),
        "images": _make_part(f"{_count(X)} images", hash_images(X)),
        "estimator": _digest_part(estimator, _show(estimator)),
        "versions": _make_part(versions),
    }


def find_differences(known: Mapping[str, Part], wanted: Mapping[str, Part]) -> list[str]:
    """Return the parts of two searches that differ, or that cannot be compared."""
    return [
        name
        for name, part in wanted.items()
        if part["digest"] is None or part["digest"] != known.get(name, {}).get("digest")
    ]


def explain(name: str, known: Mapping[str, Part], wanted: Mapping[str, Part]) -> str:
    """Return a description of how a part of two searches differs."""
    now = wanted[name]
    if now["digest"] is None:
        return (
            f"{name}: {now['text']}. Write it as a function or class with a name, at the top of a "
            "module, or keep the study in memory, with storage=None"
        )
    then = known.get(name, {"text": "unknown"})
    if now["text"] == then["text"]:
        hint = " (a cv that shuffles needs an int random_state)" if name == "folds" else ""
        return f"{name}: {now['text']}, with different content or code{hint}"
    return f"{name}: {now['text']} in this call, {then['text']} in the study"


def hash_folds(folds: Sequence[tuple[Any, Any]]) -> str:
    """Return a digest of folds."""
    return digest_value(
        [np.asarray(part).astype(np.int64) for fold in folds for part in fold]
    ).hex()


def hash_labels(y: Any) -> str:
    """Return a digest of labels that does not depend on their container and precision."""
    if y is None or scipy.sparse.issparse(y):
        return digest_value(None if y is None else _list_entries(y)).hex()
    labels = np.asarray(y)
    if labels.dtype.kind in "OUST":
        labels = _find_kind(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    labels = _widen(labels)
    if labels.ndim == 2 and labels.dtype.kind in "if":
        return digest_value(_list_entries(labels)).hex()
    return digest_value(labels).hex()


def _find_kind(labels: NDArray[Any]) -> NDArray[Any]:
    """Convert labels that are all bool, int or float to that dtype; others stay objects."""
    values = [v.item() if isinstance(v, np.generic) else v for v in labels.ravel().tolist()]
    kinds = {type(value) for value in values}
    kind = kinds.pop() if len(kinds) == 1 else object
    found = np.array(values, dtype=kind if kind in (bool, int, float) else object)
    return found.reshape(labels.shape)


def _widen(labels: NDArray[Any]) -> NDArray[Any]:
    wide = {"i": np.int64, "u": np.int64, "f": np.float64}.get(labels.dtype.kind)
    return labels if wide is None else labels.astype(wide)


def _list_entries(table: NDArray[Any] | sparray | spmatrix) -> tuple[Any, ...]:
    """Return the non-zero values of a dense or sparse matrix, and their positions."""
    entries = scipy.sparse.coo_array(table)
    entries.sum_duplicates()
    entries.eliminate_zeros()
    places = [part.astype(np.int64) for part in (entries.row, entries.col)]
    order = np.lexsort(places)
    values = _widen(entries.data)
    return (entries.shape, values.dtype.str, values[order], *(part[order] for part in places))


def hash_images(X: Any) -> str:
    """Return a digest of images or rows of features; for paths, of the content of the files."""
    if hasattr(X, "columns"):
        return digest_value([(str(name), _hash_column(X[name])) for name in X.columns]).hex()
    return digest_value(_list_entries(X)).hex() if scipy.sparse.issparse(X) else _hash_column(X)


def _hash_column(values: Any) -> str:
    array = values.to_numpy() if hasattr(values, "to_numpy") else values
    if isinstance(array, np.ndarray) and array.ndim < 3 and array.dtype.kind in "biufcmM":
        return digest_value(array).hex()
    samples = array if isinstance(array, np.ndarray) else list(array)
    # Strings that are not names of files are data, such as categories.
    return join_digests(
        [
            found if found is not None else b"text " + str(sample).encode(errors="surrogatepass")
            for sample, found in zip(samples, hash_samples(samples, by_name=False), strict=True)
        ]
    )


def _digest_part(value: Any, text: str) -> Part:
    try:
        return {"digest": digest(value), "text": text[:N_CHARACTERS]}
    except CannotIdentifyError as error:
        return {"digest": None, "text": str(error).rstrip(".")}


def _make_part(text: str, content: str | None = None) -> Part:
    return {"digest": text if content is None else content, "text": text[:N_CHARACTERS]}


def _show(value: Any) -> str:
    """Return a representation without line breaks and addresses."""
    name = getattr(value, "__qualname__", None)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join((name or repr(value)).split()))


def _count(values: Any) -> int:
    return values.shape[0] if hasattr(values, "shape") else len(values)


def _count_folds(folds: Sequence[tuple[Any, Any]]) -> str:
    return f"{len(folds)} folds of {', '.join(str(len(test)) for _, test in folds[:10])} images"


def _count_labels(y: Any) -> str:
    if y is None:
        return "none"
    if scipy.sparse.issparse(y):
        return f"{y.shape[0]} of {y.shape[1]} labels"
    labels = np.asarray(y)
    return f"{len(labels)} of {len({str(label) for label in labels.ravel().tolist()})} values"
