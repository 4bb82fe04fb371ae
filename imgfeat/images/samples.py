"""Photographs shipped with scikit-image and scikit-learn, to verify and calibrate networks."""

import functools

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data
from sklearn.datasets import load_sample_image

SHARES = (1.0, 0.8, 0.6, 0.45)


def sample_images(n: int, shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Crop `n` regions of various sizes and positions from photographs, and resize them.

    Parameters
    ----------
    n : int
    shape : (int, int, int)
        Height, width and channels of the result, 1 or 3 channels.
    seed : int, default=0
        Seed of the positions.

    Returns
    -------
    images : ndarray of shape (n, height, width, channels), dtype uint8
    """
    height, width, n_channels = shape
    rng = np.random.default_rng(seed)
    images = np.empty((n, *shape), np.uint8)
    photographs = _load()
    for i in range(n):
        picture = photographs[i % len(photographs)]
        share = SHARES[i // len(photographs) % len(SHARES)]
        rows, columns = (max(1, int(side * share)) for side in picture.shape[:2])
        top = rng.integers(0, picture.shape[0] - rows + 1)
        left = rng.integers(0, picture.shape[1] - columns + 1)
        part = np.ascontiguousarray(picture[top : top + rows, left : left + columns])
        if n_channels == 1:
            part = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8)
        resized = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
        images[i] = resized.reshape(shape)
    return images


@functools.cache
def _load() -> tuple[NDArray[np.uint8], ...]:
    shipped = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    return (*shipped, load_sample_image("china.jpg"), load_sample_image("flower.jpg"))
