"""Stateless steps of pipelines, whose output for an image depends on that image alone."""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags

from imgfeat._pipelines import is_passthrough, is_sampler
from imgfeat._protocols import Estimator, Transformer
from imgfeat.images.loading import ImageLoader


def find_learner(transformer: Any) -> Transformer | None:
    """Return the first step that is not stateless, or None if all are.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from imgfeat import HOG
    >>> from imgfeat.stateless import find_learner
    >>> find_learner(make_pipeline(HOG(), StandardScaler()))
    StandardScaler()
    """
    if isinstance(transformer, Pipeline):
        parts = [step for _, step in transformer.steps]
    elif isinstance(transformer, FeatureUnion):
        parts = [part for _, part in transformer.transformer_list]
    elif isinstance(transformer, ColumnTransformer):
        parts = [part for _, part, _ in transformer.transformers]
    elif is_sampler(transformer):  # resamples the images on which later steps are fitted
        return transformer
    else:
        return transformer if get_tags(transformer).requires_fit else None
    learners = (find_learner(part) for part in parts if not isinstance(part, str | None))
    return next((learner for learner in learners if learner is not None), None)


def split_stateless(pipeline: Estimator) -> tuple[Pipeline | None, Any]:
    """Split a pipeline after its leading stateless steps.

    Their output for an image depends on that image alone, so that it can be computed once for all
    images and indexed by fold without leakage between folds.

    Parameters
    ----------
    pipeline : estimator
        A Pipeline, or any other estimator.

    Returns
    -------
    prefix : Pipeline or None
        The leading stateless steps, or None if the first step is not stateless or `pipeline` is
        not a Pipeline.
    rest : estimator
        A Pipeline of the other steps, at least the last one. Steps are not copied.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn.svm import SVC
    >>> from imgfeat import HOG, ImageLoader
    >>> from imgfeat.stateless import split_stateless
    >>> prefix, rest = split_stateless(make_pipeline(ImageLoader(), HOG(), StandardScaler(), SVC()))
    >>> list(prefix.named_steps), list(rest.named_steps)
    (['imageloader', 'hog'], ['standardscaler', 'svc'])
    """
    if not isinstance(pipeline, Pipeline):
        return None, pipeline
    count = 0
    for _, step in pipeline.steps[:-1]:
        if not is_passthrough(step) and find_learner(step) is not None:
            break
        count += 1
    return (pipeline[:count] if count else None), pipeline[count:]


def reads_content_alone(transformer: Transformer) -> bool:
    """Return whether a transformer depends on the content of files only, not on their names.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from imgfeat import HOG, ImageLoader
    >>> from imgfeat.stateless import reads_content_alone
    >>> reads_content_alone(make_pipeline(ImageLoader(), HOG()))
    True
    >>> reads_content_alone(make_pipeline(FunctionTransformer(), ImageLoader(), HOG()))
    False
    """
    if isinstance(transformer, Pipeline):
        return bool(transformer.steps) and reads_content_alone(transformer.steps[0][1])
    if isinstance(transformer, FeatureUnion):
        parts = [part for _, part in transformer.transformer_list]
        return all(part == "drop" or reads_content_alone(part) for part in parts)
    inner = getattr(transformer, "transformer", None)
    return type(transformer) is ImageLoader if inner is None else reads_content_alone(inner)
