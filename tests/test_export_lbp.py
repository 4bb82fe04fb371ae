import numpy as np
import pytest
from helpers import graphs
from skimage.feature import local_binary_pattern

from imgfeat import LBP
from imgfeat.features._lbp_labels import METHODS
from imgfeat.features.graphs.lbp import integer_weights, tap_weights

# Counts are equal; shares of them may differ in the last bit.
EXACT = {"rtol": 2e-7, "atol": 0}


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_numbers_are_those_of_the_kernel(method, radius, color):
    images = graphs.take_patches(48, 40, color=color)
    lbp = LBP(8, radius, method)
    np.testing.assert_allclose(graphs.run_graph(lbp, images), lbp.transform(images), **EXACT)


@pytest.mark.parametrize(
    ("n_points", "radius", "method"),
    [
        (1, 1, "uniform"),
        (3, 0.5, "ror"),
        (4, 0.5, "default"),
        (4, 1, "var"),
        (5, 1.5, "var"),
        (8, 2.7, "nri_uniform"),
        (9, 1.3, "ror"),
        (10, 2, "default"),
        (12, 1.5, "nri_uniform"),
        (16, 2, "uniform"),
        (16, 2, "ror"),
        (16, 3, "var"),
        (24, 3, "uniform"),
        (24, 3, "nri_uniform"),
    ],
)
def test_any_points_and_radius(n_points, radius, method):
    images = graphs.take_patches(40, 33, color=False)
    lbp = LBP(n_points, radius, method)
    np.testing.assert_allclose(graphs.run_graph(lbp, images), lbp.transform(images), **EXACT)


@pytest.mark.parametrize("method", ["uniform", "default", "var"])
@pytest.mark.parametrize(
    ("shape", "grid"), [((32, 48), 4), ((37, 23), 5), ((7, 7), 7), ((1, 9), 1)]
)
def test_cells_of_unequal_size(shape, grid, method):
    images = graphs.take_patches(*shape, color=False)
    lbp = LBP(method=method, grid=grid)
    np.testing.assert_allclose(graphs.run_graph(lbp, images), lbp.transform(images), **EXACT)


def test_labels_are_scikit_images():
    # Of pixels that differ, so that scikit-image's rounding has no tie to decide.
    image = (np.arange(99) * 37 % 199).reshape(9, 11).astype(np.uint8)
    labels = local_binary_pattern(image, 8, 1, "uniform")
    expected = np.bincount(labels.astype(int).ravel(), minlength=10) / 99
    np.testing.assert_allclose(graphs.run_graph(LBP(), image[np.newaxis])[0], expected, **EXACT)


def test_a_picture_by_hand():
    # The middle has its left, lower left and lower row not darker: bits 3 to 7. Of the others,
    # only comparisons with zeros outside matter, and those are no bits unless a pixel is zero.
    image = np.array([[9, 0, 0], [9, 5, 0], [9, 9, 9]], np.uint8)
    features = graphs.run_graph(LBP(method="default"), image[np.newaxis])
    assert features[0, 248] >= 1 / 9
    assert features.sum() == pytest.approx(1)


def test_signs_near_the_centre_are_those_of_interpolation():
    sides, corner = np.meshgrid(np.arange(-510, 511), np.arange(-255, 256), indexing="ij")
    side_weight, corner_weight = tap_weights(8, 1)[1][[0, 0], [1, 2]]
    exact = side_weight * sides + corner_weight * corner
    assert np.abs(exact[exact != 0]).min() > 1e-4
    whole = integer_weights()[1][0, 1] * sides + integer_weights()[1][0, 2] * corner
    np.testing.assert_array_equal(whole >= 0, exact >= 0)


def test_weights_near_the_centre_are_whole_and_vanish_on_flat_regions():
    weights = integer_weights()
    assert (weights == np.round(weights)).all()
    assert np.abs(weights).max() < 2**11
    assert not weights.sum(axis=(1, 2)).any()
    np.testing.assert_array_equal(np.sign(weights), np.sign(np.round(tap_weights(8, 1), 6)))


def test_histograms_that_float32_cannot_number_are_refused():
    images = np.zeros((1, 20, 20), np.uint8)
    with pytest.raises(NotImplementedError, match="histogram of 21233664 bins an image"):
        graphs.convert(LBP(16, 2, "default", grid=18), images)
