"""Images of which a pipeline would say something else if its features were rounded otherwise."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from imgfeat.export.conversion import convert
from imgfeat.export.plan import Plan
from imgfeat.export.verification.outputs import (
    TOLERANCE,
    Answers,
    ask_graph,
    ask_pipeline,
    compare_answers,
)

# Of the largest number in a column of features: what single precision in another order amounts to.
ROUNDING = 1e-5
N_SHAKES = 4


@dataclass(frozen=True)
class Borders:
    """What a pipeline says of images, its features rounded in one way or another.

    Attributes
    ----------
    answers : list of Answers
        The true ones first.
    unstable : ndarray of shape (n,), dtype bool
        Images of which the others are wrong.
    """

    answers: list[Answers]
    unstable: NDArray[np.bool_]

    def allow(self, given: Answers, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Find images of which a graph says what rounding makes of the pipeline.

        That is a label the pipeline itself gave, and values as far apart as its own, for there are
        more ways to round than were tried.
        """
        values = np.stack([one.values[rows] for one in self.answers]).astype(np.float64)
        low, high = values.min(axis=0), values.max(axis=0)
        room = high - low + TOLERANCE * self.answers[0].scale
        if given.values.size != low.size:
            return np.zeros(len(rows), bool)
        found = np.asarray(given.values, np.float64).reshape(low.shape)
        alike = (found >= low - room) & (found <= high + room)
        allowed = self.unstable[rows] & alike.reshape(len(rows), -1).all(axis=1)
        if given.labels is not None:
            known = [given.labels == _cast(one.labels, given.labels)[rows] for one in self.answers]
            allowed &= np.any(known, axis=0).reshape(len(rows), -1).all(axis=1)
        return allowed


def find_borders(
    plan: Plan, truth: Answers, images: NDArray[np.uint8], *, double: bool = False
) -> Borders:
    """Find images on a border that no decimal can settle.

    Trees have thresholds, often at the very features of images that they were trained on, and
    one-against-one machines count votes: there, the last digit of a feature decides. The features
    that go into the last step are changed by as much as those of the graph differ at most: where
    they are exact, there is nothing to tolerate.

    Parameters
    ----------
    plan : Plan
    truth : Answers
        What the pipeline says.
    images : ndarray of shape (n, *shape), dtype uint8
    double : bool, default=False
        Whether the graph is the one in double precision.

    Returns
    -------
    borders : Borders
        There are none where features differ by more than rounding: that is no excuse.
    """
    everything, nothing = np.arange(len(images)), np.zeros(len(images), bool)
    count = len(plan.steps) - 1
    if count == 0:
        return Borders([truth], nothing)
    features = plan.cut(count).transform(images)
    true = np.asarray(features, np.float64)
    graph = convert(plan, count=count, double=double).SerializeToString()
    *_, (_, _, found) = ask_graph(graph, images)
    values = found.values[: len(images)]
    drift = np.abs(values - true).max(axis=0)
    if not (drift <= ROUNDING * np.maximum(1.0, np.abs(true).max(axis=0))).all():
        return Borders([truth], nothing)
    head = Pipeline(plan.steps[count:])
    answers = [
        ask_pipeline(head, _like(features, changed)) for changed in (values, *_shake(true, drift))
    ]
    wrong = [compare_answers(truth, one, everything).wrong for one in answers]
    return Borders([truth, *answers], np.any(wrong, axis=0))


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


def _cast(labels: NDArray[Any] | None, like: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(labels).astype(like.dtype)
