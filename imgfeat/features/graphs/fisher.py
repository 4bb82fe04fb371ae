"""FisherVector as nodes."""

import numpy as np

from imgfeat.features.fisher import FisherVector
from imgfeat.features.graphs.patches import (
    cell_weights,
    describe_patches,
    float64_adder,
    normalize_to_unit_length,
)
from imgfeat.ops.nodes import Nodes, Shape


def emit_fisher(nodes: Nodes, fisher: FisherVector, images: str, shape: Shape) -> str:
    """Add the nodes of a `FisherVector`; see `imgfeat.ops.nodes.Emit`."""
    add = float64_adder(nodes)
    values = nodes.cast(describe_patches(nodes, fisher, images, shape), np.float64)
    squares = add("Mul", values, values)
    constants, linear, square = fisher._prepare()
    logs = add("Add", add("MatMul", values, linear), add("MatMul", squares, square))
    posteriors = nodes.add("Softmax", add("Add", logs, constants), axis=2)
    # (n, cells, modes, m): the weight of each patch in the mean of each cell.
    posteriors = nodes.add("Transpose", posteriors, perm=[0, 2, 1])
    posteriors = nodes.add("Unsqueeze", posteriors, nodes.constant([1], np.int64))
    weighted = add("Mul", posteriors, cell_weights(fisher, shape)[:, np.newaxis])
    one = nodes.constant([1], np.int64)
    first = add("MatMul", weighted, nodes.add("Unsqueeze", values, one))
    second = add("MatMul", weighted, nodes.add("Unsqueeze", squares, one))
    shares = nodes.add("ReduceSum", weighted, nodes.constant([3], np.int64), keepdims=1)
    vectors = nodes.add("Concat", *_find_gradients(nodes, fisher, shares, first, second), axis=2)
    if fisher.improved:
        roots = add("Sqrt", add("Abs", vectors))
        vectors = normalize_to_unit_length(nodes, add("Mul", add("Sign", vectors), roots), 2)
    vectors = nodes.reshape(vectors, -1, fisher._count_features(shape[0], shape[1]))
    return nodes.cast(vectors, np.float32)


def _find_gradients(
    nodes: Nodes, fisher: FisherVector, shares: str, first: str, second: str
) -> list[str]:
    """Return the gradients with respect to weights, means and variances: (n, cells, k) each."""
    add = float64_adder(nodes)
    weights = fisher.weights_[:, np.newaxis]
    means, covariances = fisher.means_, fisher.covariances_
    by_weight = add("Div", add("Sub", shares, weights), np.sqrt(weights))
    by_mean = add("Sub", first, add("Mul", shares, means))
    by_mean = add("Div", by_mean, np.sqrt(weights * covariances))
    by_variance = add("Mul", shares, covariances - means**2)
    by_variance = add("Add", by_variance, add("Mul", first, 2 * means))
    by_variance = add("Sub", by_variance, second)
    by_variance = add("Div", by_variance, np.sqrt(2 * weights) * covariances)
    n_cells = sum(grid**2 for grid in fisher._grids())
    return [
        nodes.reshape(part, -1, n_cells, size)
        for part, size in (
            (by_weight, len(means)), (by_mean, means.size), (by_variance, means.size),
        )
    ]  # fmt: skip
