"""Images of which a pipeline would say something else if its features were rounded otherwise."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from imgfeat.export.certificate import Answers, ask_graph, ask_pipeline, compare_answers
from imgfeat.export.conversion import convert
from imgfeat.export.plan import Plan

# Of the largest feature: what single precision in another order amounts to.
ROUNDING = 1e-5
N_SHAKES = 4


def find_unstable(plan: Plan, truth: Answers, images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find images on a border that no decimal can settle.

    Trees have thresholds, often at the very features of images that they were trained on, and
    one-against-one machines count votes: there, the last digit of a feature decides. The features
    that go into the last step are changed by as much as those of the graph differ at most.

    Parameters
    ----------
    plan : Plan
    truth : Answers
        What the pipeline says.
    images : ndarray of shape (n, *shape), dtype uint8

    Returns
    -------
    unstable : ndarray of shape (n,), dtype bool
        None is, where features differ by more than rounding: that is no excuse.
    """
    unstable = np.zeros(len(images), bool)
    count = len(plan.steps) - 1
    if count == 0:
        return unstable
    features = plan.cut(count).transform(images)
    true = np.asarray(features, np.float64)
    *_, (_, found) = ask_graph(convert(plan, count=count).SerializeToString(), images)
    drift = np.abs(found.values - true).max(axis=0)
    if drift.max() > ROUNDING * max(1.0, np.abs(true).max()):
        return unstable
    head = Pipeline(plan.steps[count:])
    for changed in (found.values, *_shake(true, drift)):
        answers = ask_pipeline(head, _like(features, changed))
        unstable |= compare_answers(truth, answers).wrong
    return unstable


def _shake(features: NDArray, drift: NDArray) -> Iterator[NDArray]:
    yield features + drift
    yield features - drift
    rng = np.random.default_rng(0)
    for _ in range(N_SHAKES):
        yield features + drift * rng.choice([-1, 1], features.shape)


def _like(features: Any, values: NDArray) -> Any:
    """Return values as the container and in the precision of features."""
    values = values.astype(np.asarray(features).dtype)
    if hasattr(features, "columns"):
        return type(features)(values, columns=features.columns)
    return values
