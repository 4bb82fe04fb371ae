"""Resizing of uint8 images."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def resize_image(
    pixels: NDArray[np.uint8], size: tuple[int, int], how: str = "stretch"
) -> NDArray[np.uint8]:
    """Resize one uint8 image.

    Parameters
    ----------
    pixels : ndarray of shape (h, w) or (h, w, 3), dtype uint8
        The image.
    size : (int, int)
        Height and width of the result.
    how : {"stretch", "crop", "pad"}, default="stretch"
        See parameter `resize` of `ImageLoader`.

    Returns
    -------
    resized : ndarray of shape (height, width) or (height, width, 3), dtype uint8
    """
    height, width = size
    rows, cols = pixels.shape[:2]
    if how == "stretch":
        return _stretch(pixels, height, width)
    if how == "crop":
        scale = min(rows / height, cols / width)
        kept_rows = min(rows, max(1, round(height * scale)))
        kept_cols = min(cols, max(1, round(width * scale)))
        top, left = (rows - kept_rows) // 2, (cols - kept_cols) // 2
        return _stretch(pixels[top : top + kept_rows, left : left + kept_cols], height, width)
    scale = min(height / rows, width / cols)
    new_rows, new_cols = max(1, round(rows * scale)), max(1, round(cols * scale))
    padded = np.zeros((height, width, *pixels.shape[2:]), np.uint8)
    top, left = (height - new_rows) // 2, (width - new_cols) // 2
    padded[top : top + new_rows, left : left + new_cols] = _stretch(pixels, new_rows, new_cols)
    return padded


def _stretch(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    # OpenCV averages over areas only if no side grows: sides are first shrunk, then enlarged.
    smaller = (min(width, pixels.shape[1]), min(height, pixels.shape[0]))
    if smaller != (pixels.shape[1], pixels.shape[0]):
        pixels = cv2.resize(np.ascontiguousarray(pixels), smaller, interpolation=cv2.INTER_AREA)
    if pixels.shape[:2] != (height, width):
        pixels = cv2.resize(
            np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_LINEAR
        )
    return pixels
