"""Patches and pictures for the tests of local features."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from skimage import data

GRAYS = np.stack([p[60:100, 150:185] for p in (data.camera(), data.brick(), data.grass())])


def cut(image, size, stride):
    """Patches (rows, columns, length), less their mean, over the root of variance plus 10."""
    planes = image.reshape(*image.shape[:2], -1).astype(float)
    windows = sliding_window_view(planes, (size, size), axis=(0, 1))[::stride, ::stride]
    patches = np.moveaxis(windows, 2, -1).reshape(*windows.shape[:2], -1)
    excess = patches - patches.mean(axis=2, keepdims=True)
    return excess / np.sqrt(excess.var(axis=2, keepdims=True) + 10)


def project(fitted, image):
    """The patches of an image as a fitted transformer sees them."""
    patches = cut(image, fitted.patch_size, fitted.stride)
    return (patches - fitted.center_) @ fitted.projection_
