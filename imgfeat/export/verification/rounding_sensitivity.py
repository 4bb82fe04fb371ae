"""Images whose predictions by the pipeline change if its features are rounded differently."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from imgfeat.export.conversion import convert
from imgfeat.export.plan import Plan
from imgfeat.export.verification.graph_outputs import (
    TOLERANCE,
    Outputs,
    compare_outputs,
    run_graph,
    run_pipeline,
)

# Relative to the largest number in a column of features: the rounding error of single precision
# when sums are computed in another order.
ROUNDING = 1e-5
N_RANDOM_PERTURBATIONS = 4


@dataclass(frozen=True)
class RoundingSensitivity:
    """The outputs of a pipeline for features that are perturbed by rounding errors.

    Attributes
    ----------
    outputs : list of Outputs
        The pipeline's own outputs first, then those for perturbed features.
    sensitive : ndarray of shape (n,), dtype bool
        Images for which outputs of perturbed features do not match the pipeline's own.
    """

    outputs: list[Outputs]
    sensitive: NDArray[np.bool_]

    def tolerates(self, given: Outputs, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Find rounding-sensitive images for which a graph's outputs can be due to rounding.

        Their labels are ones that the pipeline predicts for own or perturbed features. Their values
        may exceed the range that these outputs span by the width of that range, because only some
        of all possible perturbations are tried.
        """
        values = np.stack([one.values[rows] for one in self.outputs]).astype(np.float64)
        low, high = values.min(axis=0), values.max(axis=0)
        margin = high - low + TOLERANCE * self.outputs[0].scale
        if given.values.size != low.size:
            return np.zeros(len(rows), bool)
        found = np.asarray(given.values, np.float64).reshape(low.shape)
        within = (found >= low - margin) & (found <= high + margin)
        tolerated = self.sensitive[rows] & within.reshape(len(rows), -1).all(axis=1)
        if given.labels is not None:
            known = [given.labels == _cast(one.labels, given.labels)[rows] for one in self.outputs]
            tolerated &= np.any(known, axis=0).reshape(len(rows), -1).all(axis=1)
        return tolerated


def measure_rounding_sensitivity(
    plan: Plan, expected: Outputs, images: NDArray[np.uint8], *, double: bool = False
) -> RoundingSensitivity:
    """Find images whose predictions depend on how features are rounded.

    The thresholds of trees often equal features of training images, and one-vs-one SVMs count
    votes: there, the last digit of a feature can decide the prediction. The features that enter the
    last step are perturbed by the largest difference between those of the pipeline and those of the
    graph. Where both are equal, no image is rounding-sensitive.

    Parameters
    ----------
    plan : Plan
    expected : Outputs
        The outputs of the pipeline.
    images : ndarray of shape (n, *shape), dtype uint8
    double : bool, default=False
        Whether the graph is the one in double precision.

    Returns
    -------
    sensitivity : RoundingSensitivity
        No image is marked as sensitive if features differ by more than rounding errors.
    """
    everything, nothing = np.arange(len(images)), np.zeros(len(images), bool)
    count = len(plan.steps) - 1
    if count == 0:
        return RoundingSensitivity([expected], nothing)
    features = plan.cut(count).transform(images)
    own = np.asarray(features, np.float64)
    graph = convert(plan, count=count, double=double).SerializeToString()
    *_, (_, _, found) = run_graph(graph, images)
    values = found.values[: len(images)]
    errors = np.abs(values - own).max(axis=0)
    if not (errors <= ROUNDING * np.maximum(1.0, np.abs(own).max(axis=0))).all():
        return RoundingSensitivity([expected], nothing)
    head = Pipeline(plan.steps[count:])
    perturbed = [
        run_pipeline(head, _convert_like(features, changed))
        for changed in (values, *_perturb(own, errors))
    ]
    mismatched = [compare_outputs(expected, one, everything).mismatched for one in perturbed]
    return RoundingSensitivity([expected, *perturbed], np.any(mismatched, axis=0))


def _perturb(features: NDArray[Any], errors: NDArray[Any]) -> Iterator[NDArray[Any]]:
    yield features + errors
    yield features - errors
    rng = np.random.default_rng(0)
    for _ in range(N_RANDOM_PERTURBATIONS):
        yield features + errors * rng.choice([-1, 1], features.shape)


def _convert_like(features: Any, values: NDArray[Any]) -> Any:
    """Return values in the container and the precision of features."""
    values = values.astype(np.asarray(features).dtype)
    if hasattr(features, "columns"):
        return type(features)(values, columns=features.columns)
    return values


def _cast(labels: NDArray[Any] | None, like: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(labels).astype(like.dtype)
