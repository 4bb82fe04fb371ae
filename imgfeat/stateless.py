"""Which steps of a pipeline learn nothing from their data."""

from typing import Any

from sklearn.compose import ColumnTransformer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags

from imgfeat._pipelines import is_passthrough, is_sampler
from imgfeat.images.loading import ImageLoader


def find_learner(transformer: Any) -> Any | None:
    """Return the first step that learns from its data, or None if none does.

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
    elif is_sampler(transformer):  # works on the images that others are fitted on
        return transformer
    else:
        return transformer if get_tags(transformer).requires_fit else None
    learners = (find_learner(part) for part in parts if not isinstance(part, str | None))
    return next((learner for learner in learners if learner is not None), None)


def split_stateless(pipeline: Any) -> tuple[Pipeline | None, Any]:
    """Split a pipeline behind its leading steps that learn nothing.

    What these make of an image hangs on that image alone: computed once for all images and indexed
    by fold, it leaks nothing from one fold to another.

    Parameters
    ----------
    pipeline : estimator
        A Pipeline, or any other estimator.

    Returns
    -------
    prefix : Pipeline or None
        The leading steps; None if the first one learns, or `pipeline` is no Pipeline.
    rest : estimator
        A Pipeline of the others, at least the last step; both hold the steps themselves, no copies.

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


def reads_content_alone(transformer: Any) -> bool:
    """Tell whether images of equal files are equal to a transformer, whatever the files' names.

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
