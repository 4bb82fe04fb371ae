"""BagOfVisualWords as nodes."""

import numpy as np

from imgfeat.features.graphs.patches import (
    cell_weights,
    describe_patches,
    float64_adder,
    normalize_to_unit_length,
)
from imgfeat.features.words import BagOfVisualWords
from imgfeat.ops.nodes import Nodes, Shape


def emit_words(nodes: Nodes, words: BagOfVisualWords, images: str, shape: Shape) -> str:
    """Add the nodes of a `BagOfVisualWords`; see `imgfeat.ops.nodes.Emit`."""
    patches = describe_patches(nodes, words, images, shape)
    book, norms = words._prepare()
    products = nodes.add("MatMul", patches, nodes.constant(-2 * book, np.float32))
    distances = nodes.add("Add", products, nodes.constant(norms, np.float32))
    mark = _mark_nearest if words.assignment == "hard" else _activate
    marks = nodes.cast(mark(nodes, words, patches, distances), np.float64)
    means = float64_adder(nodes)("MatMul", cell_weights(words, shape), marks)
    if words.norm == "power":
        means = nodes.add("Sqrt", means)
    if words.norm is not None:
        means = normalize_to_unit_length(nodes, means, 2)
    means = nodes.reshape(means, -1, words._count_features(shape[0], shape[1]))
    return nodes.cast(means, np.float32)


def _mark_nearest(nodes: Nodes, words: BagOfVisualWords, patches: str, distances: str) -> str:
    nearest = nodes.add("ArgMin", distances, axis=2, keepdims=1)
    return nodes.add("Equal", nearest, nodes.constant(np.arange(words.n_words), np.int64))


def _activate(nodes: Nodes, words: BagOfVisualWords, patches: str, distances: str) -> str:
    """Return by how much each word's distance is below the mean distance of all words."""
    axes = nodes.constant([2], np.int64)
    length = nodes.add("ReduceSumSquare", patches, axes, keepdims=1)
    squares = nodes.add("Relu", nodes.add("Add", distances, length))
    distances = nodes.add("Sqrt", squares)
    mean = nodes.add("ReduceMean", distances, axes, keepdims=1)
    return nodes.add("Relu", nodes.add("Sub", mean, distances))
