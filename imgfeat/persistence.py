"""Saving and loading of fitted models with skops; loading runs no code from the file."""

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
from imgfeat._models.archive import ModelArchive, write_checksum
from imgfeat._models.boosters import check_parameters
from imgfeat._models.heads import check_own
from imgfeat._models.paths import ALLOWABLE, check_allowed, reset_paths
from imgfeat._models.portable import make_portable
from imgfeat._models.schema import BUILDER_NAMES, read_schema
from imgfeat._models.scikit import check_scikit
from imgfeat._models.trusted import list_trusted
from imgfeat._models.walk import walk

__all__ = ["ALLOWABLE", "ModelFileError", "ModelFileWarning", "load_model", "save_model"]

# Known packages. Types of all other packages are assumed to be the caller's own, who lists them in
# `trusted` when loading.
LIBRARIES = {
    *sys.stdlib_module_names,
    *("imblearn", "imgfeat", "joblib", "lightgbm", "numpy", "onnx", "onnxruntime", "optuna"),
    *("pandas", "polars", "scipy", "sklearn", "timm", "torch", "xgboost"),
} - {"__main__"}


def save_model(model: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to a file, and check that it can be loaded.

    If saving fails, no file is written, and an existing file is not changed. For searches such as
    GridSearchCV and OptunaSearchCV, the results and the best estimator are saved; the study, its
    storage and its sampler are not.

    Parameters
    ----------
    model : estimator
        Any scikit-learn estimator or pipeline. It may contain types of your own, which then have to
        be listed in the parameter `trusted` of `load_model`.
    path : path-like
        The file to write; an existing file is replaced once the new one is complete.

    Raises
    ------
    ModelFileError
        If the model contains an object that cannot be saved, such as a lambda, or that `load_model`
        would refuse. The message names it and a remedy.
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
            write_checksum(temporary)
            _try_loading(temporary)
        except OSError:  # such as a full disk, which is not an error of the model
            raise
        except Exception as error:  # objects inside a model may raise any error
            cause = " ".join(str(error).split()).rstrip(".")
            raise ModelFileError(
                f"{name} cannot be saved: {cause}. Remove that part, or write the pipeline as "
                "an ONNX file, with imgfeat.export.to_onnx."
            ) from error


def load_model(
    path: str | os.PathLike[str],
    *,
    trusted: Collection[str] = (),
    allow: Collection[str] = (),
    max_bytes: int | None = None,
) -> Any:
    """Load a model that was saved by `save_model`.

    A file is refused if it is damaged, contains types that are not known to be harmless, or has
    arrays with which compiled code would read out of bounds. The file contains a checksum that
    detects damage. The checksum is not a signature: it does not protect against a forged file.

    Parameters
    ----------
    path : path-like
        A model file.
    trusted : collection of str, default=()
        Full names of further types and functions that the file may contain, such as your own
        estimators. List only names whose code you trust.
    allow : collection of str, default=()
        Parameters that may name files, folders, databases or downloads, such as "Batched.out",
        "Batched.memory", "Pipeline.memory", "CNNEmbedding.cache_dir" and "CNNEmbedding.backbone".
        Without it, such parameters are reset to None with a warning, or the file is refused if
        predictions depend on them.
    max_bytes : int, default=None
        Maximum unpacked size of the file in bytes. None is 20 times its size, but at least 16 MB;
        `save_model` does not compress.

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
        If the file does not exist, is not a model, is damaged, exceeds `max_bytes`, or contains
        types that are not trusted.

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
    except Exception as error:  # a damaged file may raise any error
        raise ModelFileError(_describe_damage(path, error)) from error
    reset_paths(model, allow, str(path))
    return model


class _UnknownTypesError(Exception):
    """Raised if a file contains types that are not trusted; the message lists them."""


def _read(archive: ModelArchive, trusted: Collection[str]) -> Any:
    """Create the model in a file, and validate it."""
    names = {*list_trusted(), *BUILDER_NAMES, *trusted}
    schema = read_schema(archive.read("schema.json"), trusted)
    tree = read_skops_tree(schema, archive, sorted(names))
    unknown = tree.get_unsafe_set() - names
    if unknown:
        raise _UnknownTypesError(", ".join(sorted(unknown)))
    archive.verify_checksum()
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
    """Load a file that was just written, trusting only the caller's own types in addition."""
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


def _describe_unknown(path: str | os.PathLike[str], unknown: Exception) -> str:
    return (
        f"{path} is refused: it holds types that imgfeat does not trust: {unknown}. If you trust "
        "them and the source of the file, load it with load_model(path, trusted=(...)), or give "
        "the command --trust NAME."
    )


def _describe_damage(path: str | os.PathLike[str], error: Exception) -> str:
    cause = " ".join(str(error).split()) or "no details"
    return (
        f"{path} is damaged or not a model written by imgfeat or skops "
        f"({type(error).__name__}: {cause[:200]}).{_advise(Path(path))}"
    )


def _advise(path: Path) -> str:
    """Return advice if the file has a format that is easily mistaken for a model file."""
    if path.suffix.lower() == ".onnx":
        return " imgfeat.export.load_onnx reads ONNX files."
    with contextlib.suppress(OSError), path.open("rb") as file:
        if file.read(1) == b"\x80" or path.suffix.lower() in (".pkl", ".pickle", ".joblib"):
            return " Pickles are not loaded, since they can run code: write it with save_model."
    return ""
