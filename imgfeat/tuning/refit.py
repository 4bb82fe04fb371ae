"""Fitting of the best estimator of a search on all images."""

from collections.abc import Mapping
from typing import Any

from imgfeat._protocols import Estimator
from imgfeat.images.training_hashes import record_training_images
from imgfeat.tuning.callbacks import CallbackTasks
from imgfeat.tuning.reuse.prefix import Prefix


def fit_best(
    estimator: Estimator,
    prefix: Prefix,
    y: Any,
    fit_params: Mapping[str, Any],
    callbacks: CallbackTasks,
    n_jobs: int | None,
) -> Any:
    """Return an estimator fitted on all images, from features that are computed already.

    Parameters
    ----------
    estimator : estimator
        Not fitted, with the best parameters.
    prefix : Prefix
        Holds the images.
    y : array of shape (n,) or (n, n_labels), or None
    fit_params : dict
        Parameters of the estimator's `fit`.
    callbacks : CallbackTasks
    n_jobs : int or None
        Number of images hashed in parallel.

    Returns
    -------
    fitted : estimator
        Takes images.
    """
    targets = () if y is None else (y,)
    rewritten, rows = prefix.rewrite(estimator)
    with callbacks.refit(rewritten):
        rewritten.fit(rows, *targets, **fit_params)
    whole = prefix.restore(estimator, rewritten)
    if whole is None:
        whole = estimator
        whole.fit(prefix.X, *targets, **fit_params)
    elif whole is not rewritten:
        record_training_images(whole, prefix.X, n_jobs)
    return whole
