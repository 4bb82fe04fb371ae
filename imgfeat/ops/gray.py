"""Grey images as nodes: integer ITU-R 601 luma, as `imgfeat.images.validation` computes it."""

import numpy as np

from imgfeat.ops.nodes import Nodes

# Of 2 ** 16. Every product and sum stays below 2 ** 24, where float32 is exact.
WEIGHTS = np.array([19595, 38470, 7471]) / 2**16

# Number of pixels in one row of the matrix product: enough for vector instructions.
PIXELS_PER_ROW = 16


def to_gray(nodes: Nodes, images: str, shape: tuple[int, ...]) -> str:
    """Reduce images to one channel, as `imgfeat.images.validation.to_gray` does.

    Parameters
    ----------
    nodes : Nodes
    images : str
        Name of a tensor (n, *shape), uint8.
    shape : tuple
        (h, w), or (h, w, c) with c in {1, 3}.

    Returns
    -------
    gray : str
        Name of a tensor (n, h, w), uint8.
    """
    if len(shape) == 2:
        return images
    height, width, channels = shape
    if channels == 1:
        return nodes.reshape(images, -1, height, width)
    together = next(k for k in range(PIXELS_PER_ROW, 0, -1) if height * width % k == 0)
    weights = nodes.constant(np.kron(np.eye(together), WEIGHTS[:, np.newaxis]), np.float32)
    half = nodes.constant(np.full(together, 0.5), np.float32)
    pixels = nodes.reshape(nodes.cast(images, np.float32), -1, channels * together)
    luma = nodes.add("Gemm", pixels, weights, half)
    return nodes.cast(nodes.reshape(luma, -1, height, width), np.uint8)
