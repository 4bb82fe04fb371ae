"""The steps of a pipeline that a graph computes, and the images that the graph takes."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

from imgfeat._compat.sklearn_search import BaseSearchCV
from imgfeat._pipelines import is_passthrough, is_sampler
from imgfeat.batching import Batched
from imgfeat.export.errors import ExportError
from imgfeat.export.labels import check_labels
from imgfeat.images.loading import ImageLoader
from imgfeat.stateless import find_learner

# Names and steps, as in a Pipeline.
Steps = list[tuple[str, BaseEstimator]]


@dataclass(frozen=True)
class Plan:
    """The steps of a fitted pipeline, and the sample as its graph takes it.

    Attributes
    ----------
    steps : list of (str, estimator)
        In order; steps of nested pipelines have names such as "features__hog".
    loader : ImageLoader or None
        The leading ImageLoader, which stays outside of the graph.
    images : ndarray of shape (n, *shape), dtype uint8
        The sample, after the ImageLoader.
    """

    steps: Steps
    loader: ImageLoader | None
    images: NDArray[np.uint8]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self.images.shape[1:]

    def cut(self, count: int | None = None) -> Pipeline:
        """Return the first `count` steps as a pipeline; None for all of them."""
        return Pipeline(self.steps[:count])

    def count_stateless(self) -> int:
        """Return the number of leading steps that are stateless."""
        learners = [find_learner(step) is not None for _, step in self.steps]
        return learners.index(True) if True in learners else len(learners)


def make_plan(pipeline: BaseEstimator, X_sample: Any) -> Plan:
    """List the steps of a pipeline, and bring the sample to the form that its graph takes.

    Parameters
    ----------
    pipeline : estimator
        A fitted pipeline, or a fitted search.
    X_sample : sequence of images
        As the pipeline takes them.

    Returns
    -------
    plan : Plan

    Raises
    ------
    ExportError
        If the pipeline is not fitted or empty, its last step is neither a classifier nor a
        transformer, its labels are neither strings nor whole numbers, or neither an ImageLoader nor
        the sample determines the size of images.
    ImageReadError
        If one of `X_sample` cannot be read.
    """
    try:
        check_is_fitted(pipeline)
    except NotFittedError as error:
        raise ExportError(f"Only a fitted pipeline can be exported: {error}") from error
    except TypeError as error:
        raise ExportError(
            f"pipeline={pipeline!r} is not an estimator: pass a fitted Pipeline."
        ) from error
    if not hasattr(X_sample, "__len__") or len(X_sample) == 0:
        raise ExportError(
            "X_sample must hold 1 image or more: the graph is compared with the pipeline on them."
        )
    steps = list(_list_steps(pipeline, ""))
    loader = steps.pop(0)[1] if steps and isinstance(steps[0][1], ImageLoader) else None
    if not steps:
        raise ExportError(
            "There is nothing to export: the pipeline has no step after its ImageLoader."
        )
    name, last = steps[-1]
    if hasattr(last, "predict") and not (is_classifier(last) or hasattr(last, "classes_")):
        raise ExportError(
            f"The last step, {name} ({type(last).__name__}), is not a classifier: only pipelines "
            "that end in a classifier or a transformer can be exported."
        )
    check_labels(name, last)
    return Plan(steps, loader, loader.transform(X_sample) if loader else _check_sample(X_sample))


def _list_steps(
    estimator: BaseEstimator | str | None, prefix: str
) -> Iterator[tuple[str, BaseEstimator]]:
    if isinstance(estimator, BaseSearchCV):
        if not hasattr(estimator, "best_estimator_"):
            raise ExportError(
                f"{type(estimator).__name__}(refit={estimator.refit!r}) has no best estimator to "
                "export. Search with refit=True."
            )
        yield from _list_steps(estimator.best_estimator_, prefix)
    elif isinstance(estimator, Batched):
        yield from _list_steps(getattr(estimator, "transformer_", estimator.transformer), prefix)
    elif isinstance(estimator, Pipeline):
        for name, step in estimator.steps:
            yield from _list_steps(step, f"{prefix}__{name}" if prefix else name)
    elif isinstance(estimator, FeatureUnion):
        yield prefix or "featureunion", _leave_out_dropped(estimator)
    elif not is_passthrough(estimator) and not is_sampler(estimator):
        yield prefix or type(estimator).__name__.lower(), estimator


def _leave_out_dropped(union: FeatureUnion) -> FeatureUnion:
    """Return a copy without the parts that are "drop", which skl2onnx does not support."""
    kept = [(name, part) for name, part in union.transformer_list if part != "drop"]
    if len(kept) == len(union.transformer_list):
        return union
    names = {name for name, _ in kept}
    copied = copy(union)
    copied.transformer_list = kept
    copied.transformer_weights = union.transformer_weights and {
        name: weight for name, weight in union.transformer_weights.items() if name in names
    }
    return copied


def _check_sample(X_sample: Any) -> NDArray[np.uint8]:
    remedy = (
        "Put an ImageLoader(size) in front of the pipeline, or pass X_sample as one array of uint8 "
        "images of the size that the graph is to take."
    )
    try:
        images = np.asarray(X_sample)
    except ValueError as error:  # numpy refuses ragged sequences
        raise ExportError(f"X_sample holds images of several sizes. {remedy}") from error
    if images.dtype != np.uint8 or images.ndim not in (2, 3, 4):
        raise ExportError(
            f"X_sample must be uint8 images if the pipeline has no leading ImageLoader, got "
            f"{images.dtype} of shape {images.shape}. {remedy}"
        )
    return np.ascontiguousarray(images)
