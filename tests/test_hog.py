import numpy as np
import pytest
from skimage import data, img_as_float
from skimage.feature import hog

from imgfeat import HOG, hog_image
from imgfeat.features._hog_kernel import edge_directions
from imgfeat.features.hog import BLOCK_NORMS

PICTURES = {
    "camera": data.camera()[100:228, 180:270],
    "astronaut": data.astronaut()[:130, 150:250],
    "coffee": data.coffee()[50:150, 200:320],
}
SHAPES = [((8, 8), (2, 2)), ((6, 10), (3, 2)), ((7, 5), (1, 1))]


def reference(image, orientations=9, cells=(8, 8), blocks=(2, 2), norm="L2-Hys", sqrt=False):
    axis = -1 if image.ndim == 3 else None
    return hog(image, orientations, cells, blocks, norm, transform_sqrt=sqrt, channel_axis=axis)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("cells", "blocks"), SHAPES)
@pytest.mark.parametrize("norm", BLOCK_NORMS)
@pytest.mark.parametrize("sqrt", [False, True])
def test_numbers_are_scikit_images(name, cells, blocks, norm, sqrt):
    image = PICTURES[name]
    features = HOG(9, cells, blocks, norm, sqrt).transform(image[np.newaxis])
    expected = reference(image, 9, cells, blocks, norm, sqrt)
    np.testing.assert_allclose(features[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("orientations", [1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 18, 36])
def test_any_orientations(name, orientations):
    image = PICTURES[name]
    features = HOG(orientations).transform(image[np.newaxis])
    expected = reference(image, orientations)
    np.testing.assert_allclose(features[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("norm", BLOCK_NORMS)
def test_floating_point_images(name, norm):
    image = img_as_float(PICTURES[name])
    features = HOG(block_norm=norm).transform(image[np.newaxis])
    np.testing.assert_allclose(features[0], reference(image, norm=norm), rtol=0, atol=1e-6)


def test_float32_images():
    # scikit-image normalises these in float32, so it is compared in float64.
    image = img_as_float(PICTURES["camera"]).astype(np.float32)
    features = HOG().transform(image[np.newaxis])
    np.testing.assert_allclose(features[0], reference(image), rtol=0, atol=2e-6)


def test_float32_images_in_colour():
    pictures = (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())
    rng = np.random.default_rng(0)
    worst = []
    for number in range(60):
        picture = pictures[number % 4]
        y, x = (rng.integers(0, side - 64) for side in picture.shape[:2])
        image = (picture[y : y + 64, x : x + 64] / 255).astype(np.float32)
        features = HOG(9 - number % 2).transform(image[np.newaxis])
        worst.append(np.abs(features[0] - reference(image, 9 - number % 2)).max())
    # All of them with glibc; another C library may round a length otherwise.
    assert np.mean(np.array(worst) < 1e-5) > 0.95


@pytest.mark.parametrize("orientations", range(1, 37))
def test_every_gradient_of_eight_bits_falls_into_the_right_bin(orientations):
    down, across = np.meshgrid(np.arange(-255, 256), np.arange(-255, 256), indexing="ij")
    degrees = np.rad2deg(np.arctan2(down, across)) % 180
    limits = (180.0 / orientations * np.arange(1, orientations)).astype(np.float32)
    expected = (degrees[..., np.newaxis] >= limits).sum(axis=-1)
    a, b = np.abs(across).astype(np.float32), np.abs(down).astype(np.float32)
    second = across * down < 0
    passed = np.zeros(a.shape, int)
    for cosine, sine in edge_directions(orientations, np.float32):
        # The kernel may or may not fuse the multiplication and the subtraction: both must do.
        rounded = b * cosine - a * sine
        exact = b.astype(float) * cosine - a.astype(float) * sine
        assert (np.sign(rounded) == np.sign(exact)).all()
        passed += np.where(second, exact > 0, exact >= 0)
    bins = np.where(second, orientations - 1 - passed, passed)
    moving = (a > 0) | (b > 0)
    np.testing.assert_array_equal(bins[moving], expected[moving])


def test_a_ramp_votes_for_one_bin():
    # Rows differ by 4, columns do not: every gradient inside points down with length 8. The first
    # and last of 8 rows have none, so each cell holds 8 * 6 / 8 = 6 in the bin of 90 degrees.
    ramp = np.repeat(np.arange(8, dtype=np.uint8)[:, np.newaxis] * 4, 8, axis=1)
    features = HOG(4, 8, 1, "L1").transform(ramp[np.newaxis])
    np.testing.assert_allclose(features, [[0, 0, 6 / (6 + 1e-5), 0]], atol=1e-7)


def test_rgb_takes_the_channel_that_changes_most():
    rgb = np.zeros((1, 16, 16, 3), np.uint8)
    rgb[0, :, :, 0] = np.arange(16) * 3
    rgb[0, :, :, 2] = (np.arange(16) * 9)[:, np.newaxis] + np.arange(16) * 4
    np.testing.assert_array_equal(HOG().transform(rgb), HOG().transform(rgb[..., 2]))


def test_a_flat_image_has_no_gradients():
    assert not HOG().transform(np.full((1, 32, 32), 77, np.uint8)).any()


def test_extremes_of_the_range_do_not_wrap_around():
    checks = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((4, 4))).astype(np.uint8) * 255
    np.testing.assert_allclose(
        HOG().transform(checks[np.newaxis])[0], reference(checks), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(16, 16), (17, 23), (31, 16)])
def test_pixels_beyond_the_last_cell_are_left_out(shape):
    image = PICTURES["camera"][: shape[0], : shape[1]]
    np.testing.assert_allclose(
        HOG().transform(image[np.newaxis])[0], reference(image), rtol=0, atol=1e-6
    )


def test_small_images_are_told_the_size_they_need():
    hog_ = HOG(pixels_per_cell=(6, 10), cells_per_block=3)
    with pytest.raises(ValueError, match=r"at least 18 x 30 pixels, got 17 x 64"):
        hog_.fit(np.zeros((1, 17, 64), np.uint8))
    assert hog_.transform(np.zeros((1, 18, 30), np.uint8)).shape == (1, 81)


def test_names_say_where_a_feature_is_from():
    hog_ = HOG(8, (8, 16), (1, 2)).fit(np.zeros((1, 32, 64), np.uint8))
    names = hog_.get_feature_names_out()
    assert len(set(names)) == len(names) == 4 * 3 * 2 * 8
    bright = np.zeros((1, 32, 64), np.uint8)
    bright[0, 9:15, 36:44] = np.arange(8) * 20  # within cell row 1 and column 2; a change across
    strongest = names[hog_.transform(bright)[0].argmax()]
    assert strongest in ("hog_y1_x1_cell0_1_o0", "hog_y1_x2_cell0_0_o0")
    one = HOG(cells_per_block=1).fit(np.zeros((1, 16, 16), np.uint8))
    assert one.get_feature_names_out()[-1] == "hog_y1_x1_o160"


@pytest.mark.parametrize("name", ["camera", "astronaut"])
@pytest.mark.parametrize("sqrt", [False, True])
def test_picture_is_scikit_images(name, sqrt):
    image = PICTURES[name]
    axis = -1 if image.ndim == 3 else None
    _, expected = hog(
        image, 9, (16, 8), (1, 1), visualize=True, transform_sqrt=sqrt, channel_axis=axis
    )
    picture = hog_image(image, pixels_per_cell=(16, 8), transform_sqrt=sqrt)
    np.testing.assert_allclose(picture, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "parameters",
    [
        {"orientations": 0},
        {"orientations": 9.0},
        {"pixels_per_cell": 0},
        {"pixels_per_cell": (8, 8, 8)},
        {"cells_per_block": (2, 0)},
        {"block_norm": "L3"},
        {"transform_sqrt": "yes"},
    ],
)
def test_parameters_are_checked(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        HOG(**parameters).fit(np.zeros((1, 64, 64), np.uint8))
