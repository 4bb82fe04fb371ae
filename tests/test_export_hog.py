import numpy as np
import pytest
from helpers import graphs
from skimage.feature import hog

from imgfeat import HOG
from imgfeat.features.graphs.hog import integer_edges
from imgfeat.features.graphs.hog_roots import edge_ratios
from imgfeat.features.hog import BLOCK_NORMS


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize("norm", BLOCK_NORMS)
def test_numbers_are_those_of_the_kernel(norm, sqrt, color):
    images = graphs.take_patches(48, 40, color=color)
    hog_ = HOG(block_norm=norm, transform_sqrt=sqrt)
    np.testing.assert_allclose(
        graphs.run_graph(hog_, images), hog_.transform(images), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("sqrt", [False, True])
@pytest.mark.parametrize("orientations", [1, 2, 3, 4, 6, 8, 12, 18, 36])
def test_any_orientations(orientations, sqrt):
    images = graphs.take_patches(32, 32, color=True)
    hog_ = HOG(orientations, transform_sqrt=sqrt)
    np.testing.assert_allclose(
        graphs.run_graph(hog_, images), hog_.transform(images), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize(
    ("shape", "cells", "blocks"),
    [
        ((32, 32), 8, 1),
        ((33, 47), 8, 2),
        ((31, 40), (5, 7), (2, 3)),
        ((64, 33), (16, 11), (3, 2)),
        ((9, 9), 1, 2),
        ((1, 12), (1, 4), (1, 2)),
        ((12, 1), (4, 1), (2, 1)),
        ((1, 1), 1, 1),
    ],
)
def test_any_shape_cells_and_blocks(shape, cells, blocks, color):
    images = graphs.take_patches(*shape, color=color)
    hog_ = HOG(9, cells, blocks)
    np.testing.assert_allclose(
        graphs.run_graph(hog_, images), hog_.transform(images), rtol=0, atol=1e-6
    )


def test_numbers_are_scikit_images():
    images = graphs.take_patches(48, 40, color=True)
    expected = [hog(image, 9, (8, 8), (2, 2), channel_axis=-1) for image in images]
    np.testing.assert_allclose(graphs.run_graph(HOG(), images), expected, rtol=0, atol=1e-6)


def test_a_ramp_votes_for_one_bin():
    # As in test_hog: 6 of 8 rows have a gradient of length 8 straight down.
    ramp = np.repeat(np.arange(8, dtype=np.uint8)[:, np.newaxis] * 4, 8, axis=1)
    features = graphs.run_graph(HOG(4, 8, 1, "L1"), ramp[np.newaxis])
    np.testing.assert_allclose(features, [[0, 0, 6 / (6 + 1e-5), 0]], atol=1e-7)


def test_one_channel_is_grey_and_batches_may_be_empty():
    images = graphs.take_patches(32, 32, color=False)
    expected = graphs.run_graph(HOG(), images)
    np.testing.assert_array_equal(graphs.run_graph(HOG(), images[..., np.newaxis]), expected)
    session = graphs.convert(HOG(), images)
    assert session.run(None, {"images": images[:0]})[0].shape == (0, expected.shape[1])


@pytest.mark.parametrize("orientations", range(1, 37))
def test_every_gradient_of_eight_bits_falls_into_the_right_bin(orientations):
    down, across = np.meshgrid(np.arange(-255, 256), np.arange(-255, 256), indexing="ij")
    degrees = np.rad2deg(np.arctan2(down, across)) % 180
    limits = (180.0 / orientations * np.arange(1, orientations)).astype(np.float32)
    expected = (degrees[..., np.newaxis] >= limits).sum(axis=-1)
    edges = integer_edges(orientations)
    assert np.abs(edges).max() < 512
    crosses = edges[:, 0] * down[..., np.newaxis] - edges[:, 1] * across[..., np.newaxis]
    moving = (down != 0) | (across != 0)
    assert np.abs(crosses[moving]).min() >= 1
    n_passed = (crosses[..., 1:] > 0).sum(axis=-1)
    bins = np.where(crosses[..., 0] > 0, n_passed, orientations - 1 - n_passed)
    np.testing.assert_array_equal(bins[moving], expected[moving])


@pytest.mark.parametrize("orientations", [4, 6, 9, 12])
def test_ratios_stand_for_angles_of_roots(orientations):
    roots = np.sqrt(np.arange(25.0))
    differences = np.unique(np.subtract.outer(roots, roots))
    differences = differences[(np.abs(differences) > 1e-9) | (differences == 0)]
    down, across = np.meshgrid(differences[differences != 0], differences, indexing="ij")
    degrees = np.rad2deg(np.arctan2(down, across)) % 180
    limits = (180.0 / orientations * np.arange(1, orientations)).astype(np.float32)
    upper, lower = edge_ratios(orientations)
    ratios = (across / down)[..., np.newaxis]
    bins = (ratios <= np.where(down[..., np.newaxis] > 0, upper, lower)).sum(axis=-1)
    near = np.abs(degrees[..., np.newaxis] - limits).min(axis=-1) < 1e-12
    expected = (degrees[..., np.newaxis] >= limits).sum(axis=-1)
    np.testing.assert_array_equal(bins[~near], expected[~near])
    # On an edge the last bit of the arctangent decides, and libraries round it differently.
    assert near.any()
    assert (np.abs(bins - expected) <= 1).all()


def test_histograms_that_float32_cannot_number_are_refused():
    images = np.zeros((1, 700, 700), np.uint8)
    with pytest.raises(NotImplementedError, match="histogram of 17640000 bins an image"):
        graphs.convert(HOG(18, 1, 1), images)
