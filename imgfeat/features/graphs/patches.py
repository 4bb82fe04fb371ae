"""Patches as nodes: extracted, normalised, projected, and pooled over the cells of grids."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgfeat.features._local_features import LocalFeatures
from imgfeat.features._patches import CONTRAST_CONSTANT, number_cells
from imgfeat.ops.gray import to_gray
from imgfeat.ops.nodes import Nodes, Shape


def describe_patches(nodes: Nodes, features: LocalFeatures, images: str, shape: Shape) -> str:
    """Return the projected descriptors of all patches on a regular lattice.

    Parameters
    ----------
    nodes : Nodes
    features : BagOfVisualWords or FisherVector
    images : str
        Name of a tensor (n, *shape), uint8.
    shape : (h, w) or (h, w, c), c in {1, 3}

    Returns
    -------
    descriptors : str
        Name of a tensor (n, m, d), float32.

    Raises
    ------
    NotImplementedError
        If the descriptors are not of patches.
    """
    if features.descriptor != "patch":
        raise NotImplementedError(
            f"{type(features).__name__}(descriptor={features.descriptor!r}) describes keypoints "
            "with OpenCV, which ONNX operators cannot compute. Fit it with descriptor='patch', or "
            "compute its features outside of the graph."
        )
    assert features.projection_ is not None, "patches are always projected"
    channels = 3 if features.color else 1
    if channels == 1:
        images, shape = to_gray(nodes, images, shape), shape[:2]
    height, width, depth = (*shape, 1)[:3]
    planes = nodes.cast(nodes.reshape(images, -1, height, width, depth), np.float32)
    planes = nodes.add("Transpose", planes, perm=[0, 3, 1, 2])
    if depth < channels:
        planes = nodes.add("Concat", *[planes] * channels, axis=1)
    # One filter for each pixel of a patch, in the order of the kernel: rows, columns, channels.
    length = features.patch_size**2 * channels
    filters = np.eye(length).reshape(-1, features.patch_size, features.patch_size, channels)
    filters = filters.transpose(0, 3, 1, 2)
    strides = [features.stride] * 2
    patches = nodes.add("Conv", planes, nodes.constant(filters, np.float32), strides=strides)
    lattice = features._choose_describer().measure(height, width)
    patches = nodes.reshape(patches, -1, length, lattice[0] * lattice[1])
    patches = nodes.add("Transpose", patches, perm=[0, 2, 1])
    axes = nodes.constant([2], np.int64)
    excess = nodes.add("Sub", patches, nodes.add("ReduceMean", patches, axes, keepdims=1))
    square = nodes.add("Mul", excess, excess)
    variance = nodes.add("ReduceMean", square, axes, keepdims=1)
    variance = nodes.add("Add", variance, nodes.constant(CONTRAST_CONSTANT, np.float32))
    patches = nodes.add("Div", excess, nodes.add("Sqrt", variance))
    patches = nodes.add("Sub", patches, nodes.constant(features.center_, np.float32))
    return nodes.add("MatMul", patches, nodes.constant(features.projection_, np.float32))


def cell_weights(features: LocalFeatures, shape: Shape) -> NDArray[np.float64]:
    """Return the weight of each patch in the mean of each cell: shape (cells, m)."""
    cells = number_cells(
        *features._choose_describer().measure(shape[0], shape[1]), features._grids()
    )
    marks = np.zeros((cells.max() + 1, len(cells)))
    marks[cells.T, np.arange(len(cells))] = 1
    return marks / marks.sum(axis=1, keepdims=True)


def normalize_to_unit_length(nodes: Nodes, vectors: str, axis: int) -> str:
    """Scale vectors, float64, to length 1; zero vectors are not changed."""
    length = nodes.add("ReduceL2", vectors, nodes.constant([axis], np.int64), keepdims=1)
    return nodes.add("Div", vectors, nodes.add("Max", length, nodes.constant(1e-300, np.float64)))


def float64_adder(nodes: Nodes) -> Callable[..., str]:
    """Return a function ``add(kind, *inputs)``; inputs that are numbers become constants."""

    def add(kind: str, *inputs: str | ArrayLike) -> str:
        names = (v if isinstance(v, str) else nodes.constant(v, np.float64) for v in inputs)
        return nodes.add(kind, *names)

    return add
