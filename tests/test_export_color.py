"""Colour features in an ONNX graph: the same counts, pixel by pixel, and the same moments."""

import numpy as np
import pytest
from helpers.exported import export, open_session, run_batches
from skimage import data
from sklearn.pipeline import FeatureUnion

from imgfeat import ColorHistogram, ColorMoments

PICTURES = np.stack(
    [
        picture[y : y + 90, x : x + 83]
        for picture in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
        for y, x in ((0, 0), (150, 200))
    ]
)


def color_cube(step):
    """Every level that is a multiple of `step`, and 255, in all combinations, as one image."""
    levels = np.append(np.arange(0, 255, step), 255).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    return cube.reshape(1, len(levels), -1, 3)


@pytest.mark.parametrize("space", ["rgb", "hsv", "lab"])
@pytest.mark.parametrize(
    "parameters",
    [
        {"grid": 2},
        {"bins": (12, 1, 5), "grid": 3},
        {"bins": 1},
        {"bins": (30, 8, 2), "grid": 2},
        {"joint": True, "bins": (8, 4, 3), "grid": 2},
    ],
)
def test_histograms_have_equal_counts(parameters, space):
    histogram = ColorHistogram(space, **parameters)
    found = run_batches(export(histogram, PICTURES.shape[1:]), PICTURES)
    np.testing.assert_array_equal(found, histogram.transform(PICTURES))


@pytest.mark.parametrize("space", ["rgb", "hsv", "lab"])
@pytest.mark.parametrize("bins", [8, 17, 255])
def test_colours_on_edges_of_bins_are_counted_where_the_kernel_counts_them(space, bins):
    cube = color_cube(5)
    assert cube.shape == (1, 52, 52 * 52, 3)
    histogram = ColorHistogram(space, bins)
    (found,) = open_session(export(histogram, cube.shape[1:])).run(None, {"images": cube})
    np.testing.assert_array_equal(found, histogram.transform(cube))


@pytest.mark.parametrize("grid", [1, 3])
@pytest.mark.parametrize("space", ["rgb", "hsv", "lab"])
def test_moments(space, grid):
    moments = ColorMoments(space, grid)
    found = run_batches(export(moments, PICTURES.shape[1:]), PICTURES)
    expected = moments.transform(PICTURES)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 1), (40 * 50,)])
@pytest.mark.parametrize("transformer", [ColorHistogram("lab", grid=2), ColorMoments("hsv")])
def test_gray_and_flat_images(transformer, shape):
    images = PICTURES[:, :40, :50, 1].reshape(-1, *shape)
    if len(shape) == 1:
        transformer = type(transformer)(transformer.space, image_shape=(40, 50))
    found = run_batches(export(transformer, shape), images)
    np.testing.assert_allclose(found, transformer.transform(images), rtol=1e-5, atol=1e-6)


def test_black_white_and_pure_images():
    colors = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (255, 0, 1), (0, 255, 0), (0, 0, 255)]
    images = np.broadcast_to(np.array(colors, np.uint8)[:, None, None], (6, 4, 4, 3)).copy()
    for space in ("rgb", "hsv", "lab"):
        histogram, moments = ColorHistogram(space, 4), ColorMoments(space)
        union = FeatureUnion([("histogram", histogram), ("moments", moments)]).fit(images)
        found = run_batches(export(union, (4, 4, 3)), images)
        np.testing.assert_allclose(found, union.transform(images), atol=1e-6)


def test_sums_beyond_float32_stay_exact():
    """19 * 1,200 * 1,200 exceeds 2 ** 24."""
    image = np.tile(data.coffee()[:400, :600], (3, 2, 1))[np.newaxis]
    histogram = ColorHistogram("hsv", 20)
    (found,) = open_session(export(histogram, image.shape[1:])).run(None, {"images": image})
    np.testing.assert_array_equal(found, histogram.transform(image))
