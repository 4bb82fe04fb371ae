"""Gabor and GLCM in an ONNX graph."""

import math

import numpy as np
import pytest
from helpers.exported import export, run_batches
from skimage import data

from imgfeat import GLCM, Gabor
from imgfeat.features._glcm_kernel import PROPERTIES

GRAY = np.stack(
    [p[y : y + 45, 60:112] for p in (data.camera(), data.brick(), data.grass()) for y in (30, 160)]
)
COLOR = np.stack([p[30:75, 160:212] for p in (data.astronaut(), data.coffee(), data.chelsea())])
FLAT = np.full((1, 45, 52), 77, np.uint8)


@pytest.mark.parametrize(
    "gabor",
    [
        Gabor(),
        Gabor(grid=3, pooling=("mean", "std", "max")),
        # Its filters reach over the whole image and more.
        Gabor(frequencies=(0.02, 0.3), orientations=5, bandwidth=0.8, pooling="max"),
    ],
)
@pytest.mark.parametrize("images", [GRAY, COLOR])
def test_gabor(images, gabor):
    found = run_batches(export(gabor, images.shape[1:]), images)
    expected = gabor.transform(images)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * expected.max())


@pytest.mark.parametrize(
    "glcm",
    [
        GLCM(),
        GLCM(
            levels=11, distances=(1, 3.5, 6), angles=(0, 1, 2, 4), properties=PROPERTIES, grid=2,
            symmetric=False,
        ),
        GLCM(levels=256, angles=(0, math.pi / 2), average=True, properties=PROPERTIES),
        GLCM(levels=2, distances=(2,), angles=(-math.pi / 4,), properties="correlation", grid=3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("images", [np.concatenate([GRAY, FLAT]), COLOR])
def test_glcm(images, glcm):
    found = run_batches(export(glcm, images.shape[1:]), images)
    np.testing.assert_allclose(found, glcm.transform(images), rtol=1e-6, atol=1e-7)


def test_flat_input():
    images = GRAY.reshape(len(GRAY), -1)
    for transformer in (GLCM(image_shape=(45, 52)), Gabor(image_shape=(45, 52))):
        found = run_batches(export(transformer, images.shape[1:]), images)
        np.testing.assert_allclose(found, transformer.transform(images), rtol=1e-5, atol=1e-6)
