import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data
from skimage.color import gray2rgb
from skimage.feature import graycomatrix, graycoprops

from imgfeat import GLCM

PROPERTIES = (
    *("contrast", "dissimilarity", "homogeneity", "ASM", "energy"),
    *("correlation", "mean", "variance", "std", "entropy"),
)
QUARTERS = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
PICTURES = {
    "camera": data.camera()[60:190, 150:290],
    "brick": data.brick()[:70, :91],
    "noise": np.random.default_rng(0).integers(0, 256, (40, 33), np.uint8),
    "two levels": data.checkerboard()[:60, :40],
}


def reference(image, levels, distances, angles, symmetric, properties=PROPERTIES):
    grays = (image.astype(int) * levels // 256).astype(np.uint8)
    matrices = graycomatrix(grays, distances, angles, levels, symmetric=symmetric)
    return np.stack([graycoprops(matrices, name) for name in properties])


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(
    ("levels", "distances", "angles"),
    [
        (16, (1,), QUARTERS),
        (8, (1, 2, 5), (0, np.pi / 2)),
        (5, (1.5, 3.2), (0.3, 1.1, 2.5, 4, -0.4)),
        (256, (2,), (np.pi, 3 * np.pi / 2)),
        (2, (1,), (0,)),
    ],
)
def test_properties_are_scikit_images(name, symmetric, levels, distances, angles):
    glcm = GLCM(levels, distances, angles, PROPERTIES, symmetric)
    features = glcm.transform(PICTURES[name][np.newaxis])[0]
    expected = reference(PICTURES[name], levels, distances, angles, symmetric)
    np.testing.assert_allclose(features.reshape(expected.shape), expected, rtol=1e-6, atol=1e-6)


def test_pairs_worked_by_hand():
    # Pairs to the right: (0, 1), (1, 3), (2, 2), (2, 0), with differences 1, 2, 0, 2.
    image = np.array([[0, 64, 192], [128, 128, 0]], np.uint8)[np.newaxis]
    properties = ("contrast", "dissimilarity", "homogeneity", "ASM", "mean", "entropy")
    expected = [9 / 4, 5 / 4, (1 / 2 + 1 / 5 + 1 + 1 / 5) / 4, 1 / 4, 5 / 4, np.log(4)]
    glcm = GLCM(4, angles=(0,), properties=properties, symmetric=False)
    np.testing.assert_allclose(glcm.transform(image)[0], expected, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(3, 9), st.integers(3, 9))), st.sampled_from([1, 2]))
def test_turning_the_image_permutes_the_angles(image, distance):
    glcm = GLCM(distances=(distance,), properties=PROPERTIES)
    across, down_right, down, down_left = glcm.transform(image[None]).reshape(10, 4).T
    turned = glcm.transform(np.rot90(image)[None]).reshape(10, 4).T
    expected = np.stack([down, down_left, across, down_right])
    np.testing.assert_allclose(turned, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(2, 9), st.integers(2, 9))))
def test_properties_keep_their_bounds(image):
    glcm = GLCM(8, properties=("energy", "homogeneity", "correlation", "entropy"))
    energy, homogeneity, correlation, entropy = glcm.transform(image[None]).reshape(4, 4)
    assert ((energy >= 1 / 8 - 1e-6) & (energy <= 1 + 1e-6)).all()
    assert ((homogeneity > 0) & (homogeneity <= 1 + 1e-6)).all()
    assert (np.abs(correlation) <= 1 + 1e-6).all()
    assert ((entropy >= 0) & (entropy <= 2 * np.log(8) + 1e-6)).all()


@pytest.mark.parametrize("value", [0, 7, 255])
def test_one_level_alone(value):
    image = np.full((1, 8, 8), value, np.uint8)
    glcm = GLCM(properties=("contrast", "energy", "correlation", "entropy"))
    np.testing.assert_array_equal(
        glcm.transform(image).reshape(4, 4), np.array([[0], [1], [1], [0]]).repeat(4, axis=1)
    )


def test_a_cell_is_an_image_of_its_own():
    image = PICTURES["camera"][:70, :50]
    whole = GLCM(grid=3, distances=(1, 4)).transform(image[np.newaxis]).reshape(3, 3, -1)
    rows, cols = np.arange(4) * 70 // 3, np.arange(4) * 50 // 3
    for y, x in itertools.product(range(3), repeat=2):
        part = image[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]
        alone = GLCM(distances=(1, 4)).transform(part[np.newaxis])[0]
        np.testing.assert_array_equal(alone, whole[y, x])


def test_averages_are_over_angles():
    image = PICTURES["brick"]
    properties = ("entropy", "contrast")
    glcm = GLCM(distances=(1, 2, 3), properties=properties, average=True).fit(image[np.newaxis])
    expected = reference(image, 16, (1, 2, 3), QUARTERS, True, properties).mean(axis=2)
    np.testing.assert_allclose(glcm.transform(image[None])[0], expected.ravel(), rtol=1e-6)
    assert glcm.get_feature_names_out()[[0, 5]].tolist() == [
        "glcm_y0_x0_entropy_d1",
        "glcm_y0_x0_contrast_d3",
    ]


def test_floating_point_and_gray_color_give_the_same():
    image = PICTURES["camera"][np.newaxis]
    expected = GLCM().transform(image)
    np.testing.assert_array_equal(GLCM().transform(image / 255), expected)
    np.testing.assert_array_equal(GLCM().transform(gray2rgb(image)), expected)


def test_color_is_reduced_to_luma():
    coffee = data.coffee()[np.newaxis, :64, :64]
    gray = (coffee @ np.array([19595, 38470, 7471]) + 32768) >> 16
    np.testing.assert_array_equal(GLCM().transform(coffee), GLCM().transform(gray.astype(np.uint8)))


def test_names_say_property_distance_and_angle():
    glcm = GLCM(distances=(1, 2.5), angles=(0, np.pi / 4), properties="energy", grid=2)
    assert glcm.fit(PICTURES["brick"][None]).get_feature_names_out()[:5].tolist() == [
        "glcm_y0_x0_energy_d1_a0",
        "glcm_y0_x0_energy_d1_a45",
        "glcm_y0_x0_energy_d2.5_a0",
        "glcm_y0_x0_energy_d2.5_a45",
        "glcm_y0_x1_energy_d1_a0",
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"levels": 1}, "levels"),
        ({"levels": 257}, "levels"),
        ({"distances": ()}, r"distances must be .* one or more numbers, got \(\)"),
        ({"distances": (0.9,)}, r"distances must be at least 1 pixel, got \(0.9,\)"),
        ({"distances": (1, 1)}, "distances must all be different"),
        ({"distances": ("a",)}, "distances must be"),
        ({"distances": 1}, "distances"),
        ({"angles": (0, 0)}, "angles must all be different"),
        ({"angles": (np.nan,)}, "angles must be"),
        ({"properties": "cluster shade"}, "properties"),
        ({"properties": ("ASM", "shade")}, "properties must be one or more of contrast, "),
        ({"properties": ()}, "properties must be"),
        ({"properties": ("ASM", "ASM")}, "each once"),
        ({"grid": 10}, "grid=10 needs images of at least 10 x 10 pixels, got 12 x 9"),
        ({"grid": 2, "distances": (5,)}, "at least 12 x 12 pixels, got 12 x 9"),
        ({"distances": (9,), "angles": (0,)}, "at least 1 x 10 pixels, got 12 x 9"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        GLCM(**parameters).fit(np.zeros((1, 12, 9), np.uint8))


def test_the_smallest_image_that_distances_allow():
    image = np.array([[[0, 255, 0, 255]]], np.uint8)
    features = GLCM(2, (3,), (0,), ("contrast", "mean"), symmetric=False).transform(image)
    np.testing.assert_array_equal(features, [[1, 0]])
