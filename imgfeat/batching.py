"""Streaming a chain of transformers that learn nothing, batch by batch, several at a time."""

from collections.abc import Iterator
from numbers import Integral
from typing import Any, Self

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from imgfeat.loading import ImageLoader
from imgfeat.stateless import find_learner


class Batched(TransformerMixin, BaseEstimator):
    """Run a chain that learns nothing over batches, so that its steps overlap.

    A pipeline of its own decodes all images, then describes all. This one describes one batch
    while it decodes the next, and holds no more than a few batches of images at a time.

    Parameters
    ----------
    transformer : transformer
        One that learns nothing (tagged ``requires_fit=False``), or a Pipeline, FeatureUnion or
        ColumnTransformer of such.
    batch_size : int, default=64
        Images at a time.
    n_jobs : int, default=None
        Batches at the same time, in threads, since decoders, kernels and networks release the
        GIL; a backend chosen with ``joblib.parallel_config`` is used instead. None means 1 unless
        inside such a context, -1 all cores.
    progress : bool, default=False
        Show how far it is, and how fast.

    Attributes
    ----------
    transformer_ : transformer
        A copy, fitted on the first image, which decides nothing but the names of the features.

    Raises
    ------
    ValueError
        If a step learns from its data: then batches would differ from the whole.

    See Also
    --------
    ImageLoader : The usual first step.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skimage.data import astronaut, coffee
    >>> from imgfeat import HOG, Batched, ImageLoader
    >>> stream = Batched(make_pipeline(ImageLoader(64), HOG()), batch_size=2, n_jobs=2)
    >>> stream.fit_transform([astronaut(), coffee()] * 3).shape
    (6, 1764)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "transformer": [HasMethods(["fit", "transform"])],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "progress": ["boolean"],
    }

    def __init__(
        self,
        transformer: Any,
        batch_size: int = 64,
        n_jobs: int | None = None,
        progress: bool = False,
    ):
        self.transformer = transformer
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.progress = progress

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check that nothing in the chain learns, and fit a copy on the first image.

        Parameters
        ----------
        X : sequence, array or frame of n images
            What the first step takes.
        y : ignored
            Present for scikit-learn's sake.

        Returns
        -------
        self : object
            The transformer itself.
        """
        self._validate_params()
        self.transformer_ = self._prepare(X)
        return self

    def transform(self, X: Any) -> Any:
        """Transform every image.

        Parameters
        ----------
        X : sequence, array or frame of n images
            What the first step takes.

        Returns
        -------
        output : ndarray or DataFrame of shape (n, ...)
            What the chain makes of them, in their order; a frame where it makes frames.
        """
        if not hasattr(self, "transformer_"):
            self._validate_params()
        transformer = getattr(self, "transformer_", None) or self._prepare(X)
        n = len(X)
        spans = [slice(k, min(k + self.batch_size, n)) for k in range(0, n, self.batch_size)]
        if len(spans) < 2:
            part = transformer.transform(X)
            return part if hasattr(part, "columns") else np.asarray(part)
        parts = joblib.Parallel(n_jobs=self.n_jobs, prefer="threads", return_as="generator")(
            joblib.delayed(_transform)(transformer, X, span) for span in spans
        )
        return self._collect(n, spans, parts)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names that the chain gives its features.

        Parameters
        ----------
        input_features : ignored
            Pixels have no names that a feature could carry on.

        Returns
        -------
        names : ndarray of shape (d,), dtype object
        """
        check_is_fitted(self, "transformer_")
        return self.transformer_.get_feature_names_out()

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose the container of features; do nothing where the chain ends in images.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            See ``sklearn.utils.set_output``.

        Returns
        -------
        self : object
            The transformer itself.
        """
        last = self.transformer[-1] if isinstance(self.transformer, Pipeline) else self.transformer
        if isinstance(last, ImageLoader):
            return self
        return super().set_output(transform=transform)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags = get_tags(self.transformer).input_tags
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _prepare(self, X: Any) -> Any:
        learner = find_learner(self.transformer)
        if learner is not None:
            raise ValueError(
                f"Batched takes steps that learn nothing, but {type(learner).__name__} does: its "
                "result would hang on the batch. Put it behind Batched, in a Pipeline."
            )
        if len(X) == 0:
            raise ValueError("Batched needs at least 1 image to fit, got 0 sample(s).")
        return clone(self.transformer).fit(_safe_indexing(X, slice(0, 1)))

    def _collect(self, n: int, spans: list[slice], parts: Iterator[Any]) -> Any:
        output, columns = None, None
        with tqdm(total=n, unit="image", disable=not self.progress) as bar:
            for span, part in zip(spans, parts, strict=True):
                if output is None:
                    columns = getattr(part, "columns", None)
                    output = np.empty((n, *part.shape[1:]), np.asarray(part).dtype)
                output[span] = part
                bar.update(len(part))
        assert output is not None
        return output if columns is None else pd.DataFrame(output, columns=columns)


def _transform(transformer: Any, X: Any, span: slice) -> Any:
    part = transformer.transform(_safe_indexing(X, span))
    return part if hasattr(part, "columns") else np.asarray(part)
