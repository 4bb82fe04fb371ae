"""The steps of a fitted pipeline that run in prediction, which are fewer than in fit."""

from copy import copy
from typing import Any

from sklearn.pipeline import Pipeline

from imgfeat._protocols import Estimator


def is_sampler(step: object) -> bool:
    """Return whether a step only resamples the images on which later steps are fitted.

    Examples
    --------
    >>> from imgfeat import HOG
    >>> from imgfeat._pipelines import is_sampler
    >>> is_sampler(HOG())
    False
    """
    return hasattr(step, "fit_resample")


def is_passthrough(step: object) -> bool:
    """Return whether a step of a pipeline passes its input on unchanged.

    Examples
    --------
    >>> from imgfeat._pipelines import is_passthrough
    >>> is_passthrough(None), is_passthrough("passthrough"), is_passthrough("drop")
    (True, True, False)
    """
    return step is None or (isinstance(step, str) and step == "passthrough")


def split_head(model: Estimator) -> tuple[Pipeline | None, Any]:
    """Split a fitted model before the last step, and remove steps that run in fit only.

    Parameters
    ----------
    model : estimator
        A Pipeline, scikit-learn's or imbalanced-learn's, or any other estimator.

    Returns
    -------
    front : Pipeline or None
        A pipeline of the model's own class, or None if there is no step before the last one.
    head : estimator
        The last step, or the model itself if it is not a pipeline.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.svm import SVC
    >>> from imgfeat import HOG
    >>> from imgfeat._pipelines import split_head
    >>> split_head(make_pipeline(HOG(), SVC()))
    (Pipeline(steps=[('hog', HOG())]), SVC())
    """
    if not isinstance(model, Pipeline):
        return None, model
    steps = [(name, step) for name, step in model.steps[:-1] if not is_sampler(step)]
    if not steps:
        return None, model.steps[-1][1]
    front = copy(model)
    front.steps = steps
    return front, model.steps[-1][1]
