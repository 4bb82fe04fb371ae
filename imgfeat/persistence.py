"""Fitted models on disk, kept with skops: loading one runs no code from the file."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.base import BaseEstimator
from sklearn.pipeline import FeatureUnion

from imgfeat._files import ModelFileError, replace_atomically

# Types that skops does not know to be harmless, and imgfeat's recipes need.
TRUSTED = frozenset(
    {
        "imgfeat.batching.Batched",
        "imgfeat.features.cnn.CNNEmbedding",
        "imgfeat.features.color.ColorHistogram",
        "imgfeat.features.color.ColorMoments",
        "imgfeat.features.fisher.FisherVector",
        "imgfeat.features.gabor.Gabor",
        "imgfeat.features.hog.HOG",
        "imgfeat.features.lbp.LBP",
        "imgfeat.features.texture.GLCM",
        "imgfeat.features.words.BagOfVisualWords",
        "imgfeat.heads.calibration.TemperatureScaledClassifier",
        "imgfeat.heads.early_stopping.EarlyStopped",
        "imgfeat.heads.families.FamilyColumns",
        "imgfeat.heads.folds.EveryClassKFold",
        "imgfeat.heads.kernel_svm.KernelSVC",
        "imgfeat.heads.multilabel.PerLabel",
        "imgfeat.heads.pooling.FamilyPool",
        "imgfeat.heads.stack.FamilyStack",
        "imgfeat.loading.ImageLoader",
        "sklearn._loss.link.Interval",
        "sklearn._loss.link.LogitLink",
        "sklearn._loss.link.MultinomialLogit",
        "sklearn._loss.loss.HalfBinomialLoss",
        "sklearn._loss.loss.HalfMultinomialLoss",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)


def save_model(model: BaseEstimator, path: str | os.PathLike) -> None:
    """Write a fitted model, all of it or nothing.

    Parameters
    ----------
    model : estimator
        Any scikit-learn estimator or pipeline.
    path : path-like
        Where to; an existing file is replaced once the new one is complete.

    Raises
    ------
    ModelFileError
        If the model holds something that skops cannot keep, such as a lambda.
    OSError
        If the file cannot be written.
    """
    _plain_names(model)
    with replace_atomically(Path(path)) as temporary:
        try:
            skops.io.dump(model, temporary)
        except (TypeError, AttributeError, NotImplementedError) as error:
            raise ModelFileError(f"{type(model).__name__} cannot be saved: {error}") from error


def load_model(path: str | os.PathLike, *, trusted: tuple[str, ...] = ()) -> Any:
    """Load what `save_model` wrote.

    Parameters
    ----------
    path : path-like
        A model file.
    trusted : tuple of str, default=()
        Further types to load, by full name: those of your own estimators. Name only what you know.

    Returns
    -------
    model : estimator

    Raises
    ------
    ModelFileError
        If there is no such file, it is no model, is damaged, or holds other types.

    Examples
    --------
    >>> import tempfile
    >>> from imgfeat import HOG, load_model, save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(HOG(orientations=6), f"{folder}/hog.skops")
    ...     load_model(f"{folder}/hog.skops")
    HOG(orientations=6)
    """
    if not Path(path).is_file():
        raise ModelFileError(f"No model file {path}.")
    try:
        unknown = set(skops.io.get_untrusted_types(file=path))
    except Exception as error:  # a foreign file can fail in any way
        raise ModelFileError(_describe_damage(path, error)) from error
    allowed = TRUSTED | set(trusted)
    if unknown - allowed:
        raise ModelFileError(
            f"{path} is refused: it holds types that imgfeat does not trust: "
            f"{', '.join(sorted(unknown - allowed))}. If you know them and where the file is "
            "from, load it in Python with load_model(path, trusted=(...))."
        )
    try:
        model = skops.io.load(path, trusted=sorted(unknown))
    except Exception as error:  # a damaged file can fail in any way
        raise ModelFileError(_describe_damage(path, error)) from error
    if not isinstance(model, BaseEstimator):
        raise ModelFileError(f"{path} holds no estimator but a {type(model).__name__}.")
    return model


def _plain_names(part: Any) -> None:
    """Make arrays of the pandas Indexes that a FeatureUnion keeps, which skops cannot."""
    if isinstance(part, FeatureUnion) and hasattr(part, "_transformers_feature_names_out"):
        names = part._transformers_feature_names_out
        part._transformers_feature_names_out = [np.array(n, dtype=object) for n in names]
    if isinstance(part, BaseEstimator):
        part = vars(part)
    if isinstance(part, dict):
        part = list(part.values())
    if isinstance(part, list | tuple):
        for inner in part:
            _plain_names(inner)


def _describe_damage(path: str | os.PathLike, error: Exception) -> str:
    cause = " ".join(str(error).split()) or "no details"
    return (
        f"{path} is damaged or no model written by imgfeat or skops "
        f"({type(error).__name__}: {cause[:200]})."
    )
