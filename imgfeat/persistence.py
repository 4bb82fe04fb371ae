"""Fitted models on disk, kept with skops: loading one runs no code from the file."""

import contextlib
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import skops.io
from sklearn.base import BaseEstimator

from imgfeat._compat.model_files import read_skops_tree
from imgfeat._compat.sklearn import validate_params
from imgfeat._files import ModelFileError, ModelFileWarning, replace_atomically
from imgfeat._models.archive import ModelArchive, write_seal
from imgfeat._models.boosters import check_parameters
from imgfeat._models.heads import check_own
from imgfeat._models.paths import ALLOWABLE, check_allowed, reset_paths
from imgfeat._models.portable import make_portable
from imgfeat._models.schema import BUILDER_NAMES, read_schema
from imgfeat._models.scikit import check_scikit
from imgfeat._models.trusted import list_trusted
from imgfeat._models.walk import walk

__all__ = ["ALLOWABLE", "ModelFileError", "ModelFileWarning", "load_model", "save_model"]

# Types of other packages are taken for the caller's own, who names them when loading.
LIBRARIES = {
    *sys.stdlib_module_names,
    *("imblearn", "imgfeat", "joblib", "lightgbm", "numpy", "onnx", "onnxruntime", "optuna"),
    *("pandas", "polars", "scipy", "sklearn", "timm", "torch", "xgboost"),
} - {"__main__"}


def save_model(model: BaseEstimator, path: str | os.PathLike) -> None:
    """Write a fitted model, all of it or nothing, and make sure that it can be loaded.

    Of searches such as GridSearchCV and OptunaSearchCV, the results and the best estimator are
    kept; the study, its storage and sampler are not.

    Parameters
    ----------
    model : estimator
        Any scikit-learn estimator or pipeline. Types of your own are kept as well; `load_model`
        wants them named.
    path : path-like
        Where to; an existing file is replaced once the new one is complete.

    Raises
    ------
    ModelFileError
        If the model holds something that cannot be kept, such as a lambda, or that `load_model`
        would refuse. The message says what, and what to do about it.
    ValueError
        If the path is a folder or a device.
    OSError
        If the file cannot be written.
    """
    name = type(model).__name__
    if not isinstance(model, BaseEstimator):
        raise ModelFileError(f"{name} cannot be saved: it is no estimator.")
    portable = make_portable(model)
    with replace_atomically(Path(path)) as temporary:
        try:
            skops.io.dump(portable, temporary)
            write_seal(temporary)
            _try_loading(temporary)
        except OSError:  # the disk's, such as a full one: the model is not to blame
            raise
        except Exception as error:  # anything inside a model may refuse in its own way
            cause = " ".join(str(error).split()).rstrip(".")
            raise ModelFileError(
                f"{name} cannot be saved: {cause}. Leave that part out, or write the pipeline as "
                "an ONNX file, with imgfeat.export.to_onnx."
            ) from error


def load_model(
    path: str | os.PathLike,
    *,
    trusted: Collection[str] = (),
    allow: Collection[str] = (),
    max_bytes: int | None = None,
) -> Any:
    """Load what `save_model` wrote.

    A file is refused if it is damaged, holds types that are not known to be harmless, or arrays
    that compiled code would follow out of bounds. A hash in it tells damage; it is no signature,
    and whoever forges a file can compute it.

    Parameters
    ----------
    path : path-like
        A model file.
    trusted : collection of str, default=()
        Further types and functions to load, by full name: those of your own estimators. Name only
        what you know.
    allow : collection of str, default=()
        Parameters that may name files, folders, databases or downloads, such as "Batched.out",
        "Batched.memory", "Pipeline.memory", "CNNEmbedding.cache_dir" and "CNNEmbedding.backbone".
        Others are reset to None, with a warning, or refused where predictions depend on them.
    max_bytes : int, default=None
        Most bytes that the file may take unpacked. None is 20 times its size, or 16 MB if that is
        more: `save_model` does not compress.

    Returns
    -------
    model : estimator

    Warns
    -----
    ModelFileWarning
        If parameters were reset.

    Raises
    ------
    ModelFileError
        If there is no such file, it is no model, is damaged, takes too much memory, or holds other
        types.

    Examples
    --------
    >>> import tempfile
    >>> from imgfeat import HOG, load_model, save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(HOG(orientations=6), f"{folder}/hog.skops")
    ...     load_model(f"{folder}/hog.skops")
    HOG(orientations=6)
    """
    check_allowed(allow)
    if not Path(path).is_file():
        cause = ": it is a folder" if Path(path).is_dir() else ""
        raise ModelFileError(f"No model file {path}{cause}.")
    try:
        with ModelArchive(Path(path), max_bytes) as archive:
            model = _read(archive, trusted)
    except _UnknownTypesError as error:
        raise ModelFileError(_describe_unknown(path, error)) from None
    except ModelFileError:
        raise
    except Exception as error:  # a damaged or foreign file can fail in any way
        raise ModelFileError(_describe_damage(path, error)) from error
    reset_paths(model, allow, str(path))
    return model


class _UnknownTypesError(Exception):
    """A file holds types that are not trusted; the message lists them."""


def _read(archive: ModelArchive, trusted: Collection[str]) -> Any:
    """Make the model in a file, and check it."""
    names = {*list_trusted(), *BUILDER_NAMES, *trusted}
    schema = read_schema(archive.read("schema.json"), trusted)
    tree = read_skops_tree(schema, archive, sorted(names))
    unknown = tree.get_unsafe_set() - names
    if unknown:
        raise _UnknownTypesError(", ".join(sorted(unknown)))
    archive.check_seal()
    model = tree.construct()
    if not isinstance(model, BaseEstimator):
        raise ModelFileError(f"The file holds no estimator but a {type(model).__name__}.")
    for part in walk(model):
        if isinstance(part, BaseEstimator):
            check_parameters(part)
            if hasattr(part, "_parameter_constraints"):
                validate_params(part)
        check_scikit(part)
        check_own(part)
    return model


def _try_loading(path: Path) -> None:
    """Load a file that was just written, with trust in types of the caller's own alone."""
    with ModelArchive(path) as archive:
        try:
            _read(archive, ())
            return
        except _UnknownTypesError as error:
            unknown = str(error).split(", ")
    foreign = [name for name in unknown if name.partition(".")[0] in LIBRARIES]
    if foreign:
        raise ModelFileError(f"load_model would refuse what it holds: {', '.join(foreign)}")
    with ModelArchive(path) as archive:
        _read(archive, unknown)


def _describe_unknown(path: str | os.PathLike, unknown: Exception) -> str:
    return (
        f"{path} is refused: it holds types that imgfeat does not trust: {unknown}. If you know "
        "them and where the file is from, load it with load_model(path, trusted=(...)), or give "
        "the command --trust NAME."
    )


def _describe_damage(path: str | os.PathLike, error: Exception) -> str:
    cause = " ".join(str(error).split()) or "no details"
    return (
        f"{path} is damaged or no model written by imgfeat or skops "
        f"({type(error).__name__}: {cause[:200]}).{_guess_format(Path(path))}"
    )


def _guess_format(path: Path) -> str:
    """Say what to do about a file of another kind that people take for a model."""
    if path.suffix.lower() == ".onnx":
        return " imgfeat.export.load_onnx reads ONNX files."
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(1) == b"\x80" or path.suffix.lower() in (".pkl", ".pickle", ".joblib"):
            return " Pickles are not loaded, since they can run code: write it with save_model."
    return ""
