import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage import data
from skimage.color import gray2rgb, rgb2hsv, rgb2lab

from imgfeat import ColorHistogram, ColorMoments
from imgfeat.features.color import SPACES

PICTURES = {
    "astronaut": data.astronaut()[30:150, 160:280],
    "coffee": data.coffee()[100:190, 200:330],
    "noise": np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8),
    "gray": gray2rgb(data.camera()[60:120, 100:200]),
}
RANGES = {
    "rgb": [(0, 1)] * 3,
    "hsv": [(0, 1)] * 3,
    "lab": [(0, 100), (-87, 99), (-108, 95)],
}
CONVERSIONS = {"rgb": lambda image: image / 255, "hsv": rgb2hsv, "lab": rgb2lab}

pixels = arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)))


def positions(image, space, bins):
    """scikit-image's channels, in units of bins: shape (h, w, 3)."""
    lows, highs = np.array(RANGES[space], float).T
    return (CONVERSIONS[space](image) - lows) / (highs - lows) * bins


def place(image, space, bins):
    """The bin of each channel of each pixel; an edge belongs to the upper bin."""
    places = np.floor(positions(image, space, bins) + 1e-6).astype(int)
    if space == "hsv":
        places[..., 0] %= bins[0]
    return np.minimum(places, np.array(bins) - 1)


def near_edges(image, space, bins, margin):
    """The share of pixels with a channel that lies so near to an edge of its bins."""
    exact = positions(image, space, bins)
    return (np.abs(exact - np.round(exact)) < margin).any(axis=2).mean()


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("space", ["rgb", "hsv"])
@pytest.mark.parametrize("bins", [(8, 8, 8), (5, 3, 17), (12, 1, 2), (255, 64, 6)])
def test_histograms_of_scikit_images_channels(name, space, bins):
    image = PICTURES[name]
    places = place(image, space, bins)
    expected = [
        np.bincount(places[..., k].ravel(), minlength=bins[k]) / places[..., k].size
        for k in range(3)
    ]
    histogram = ColorHistogram(space, bins).transform(image[np.newaxis])[0]
    np.testing.assert_allclose(histogram, np.concatenate(expected), atol=1e-7)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("bins", [(8, 8, 8), (5, 3, 17)])
def test_lab_histograms_away_from_edges(name, bins):
    image = PICTURES[name]
    lab = rgb2lab(image)
    expected = [
        np.histogram(lab[..., k], bins[k], RANGES["lab"][k])[0] / lab[..., k].size for k in range(3)
    ]
    histogram = ColorHistogram("lab", bins).transform(image[np.newaxis])[0]
    allowed = 2 * 3 * near_edges(image, "lab", bins, 5e-4)
    assert allowed < 0.1
    assert np.abs(histogram - np.concatenate(expected)).sum() <= allowed + 1e-6


@pytest.mark.parametrize("space", ["rgb", "hsv"])
def test_joint_histograms_are_numpys(space):
    image = PICTURES["coffee"]
    bins = (4, 3, 5)
    # In the middle of its bin, no value is on an edge for numpy.
    middles = (place(image, space, bins) + 0.5) / bins
    expected, _ = np.histogramdd(middles.reshape(-1, 3), bins, RANGES[space])
    joint = ColorHistogram(space, bins, joint=True).transform(image[np.newaxis])[0]
    np.testing.assert_allclose(joint, expected.ravel() / image[..., 0].size, atol=1e-7)


def test_pixels_worked_by_hand():
    red, green, blue, white = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
    image = np.array([[red, green], [blue, white]], np.uint8)[np.newaxis]
    # Hues 0, 1/3, 2/3 and, for white, 0; saturation 1, 1, 1, 0; value 1.
    hue, saturation, value = np.split(ColorHistogram(bins=4).transform(image)[0], 3)
    np.testing.assert_array_equal(hue, [0.5, 0.25, 0.25, 0])
    np.testing.assert_array_equal(saturation, [0.25, 0, 0, 0.75])
    np.testing.assert_array_equal(value, [0, 0, 0, 1])
    lightness, _, _ = np.split(ColorHistogram("lab", 4).transform(image)[0], 3)
    # L is 53.2, 87.7, 32.3 and 100.
    np.testing.assert_array_equal(lightness, [0, 0.25, 0.25, 0.5])


def test_hue_ends_where_it_begins():
    almost_red = np.array([[[1, 0, 1e-6]]])[np.newaxis]
    assert rgb2hsv(almost_red[0])[0, 0, 0] > 0.999
    assert ColorHistogram(bins=8).transform(almost_red)[0, 0] == 1
    clearly_pink = np.array([[[1, 0, 0.2]]])[np.newaxis]
    assert ColorHistogram(bins=8).transform(clearly_pink)[0, 7] == 1


@settings(max_examples=60, deadline=None)
@given(pixels, st.sampled_from(sorted(SPACES)), st.tuples(*[st.integers(1, 20)] * 3), st.booleans())
def test_histograms_sum_to_one_in_any_dtype(image, space, bins, joint):
    images = image[np.newaxis]
    histogram = ColorHistogram(space, bins, joint)
    rows = histogram.transform(images)
    parts = [rows] if joint else np.split(rows, np.cumsum(bins)[:2], axis=1)
    for part in parts:
        assert part.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(histogram.transform(images / 255), rows)
    np.testing.assert_array_equal(histogram.transform((images / 255).astype(np.float32)), rows)


@settings(max_examples=30, deadline=None)
@given(pixels, st.sampled_from(sorted(SPACES)), st.randoms(use_true_random=False))
def test_places_of_pixels_do_not_matter_to_a_histogram(image, space, random):
    order = list(range(image.shape[0] * image.shape[1]))
    random.shuffle(order)
    shuffled = image.reshape(-1, 3)[order].reshape(image.shape)
    histogram = ColorHistogram(space, joint=True)
    np.testing.assert_array_equal(
        histogram.transform(image[None]), histogram.transform(shuffled[None])
    )


@pytest.mark.parametrize(
    "transformer", [ColorHistogram("lab", 5), ColorHistogram(joint=True, bins=3), ColorMoments()]
)
def test_a_cell_is_an_image_of_its_own(transformer):
    image = PICTURES["astronaut"][:70, :50]
    whole = transformer.set_params(grid=3).transform(image[np.newaxis]).reshape(3, 3, -1)
    rows, cols = np.arange(4) * 70 // 3, np.arange(4) * 50 // 3
    transformer.set_params(grid=1)
    for y, x in itertools.product(range(3), repeat=2):
        part = image[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]
        np.testing.assert_array_equal(transformer.transform(part[np.newaxis])[0], whole[y, x])


@pytest.mark.parametrize("space", sorted(SPACES))
def test_gray_counts_as_three_equal_channels(space):
    gray = data.camera()[np.newaxis, 60:120, 100:200]
    for transformer in (ColorHistogram(space), ColorMoments(space)):
        np.testing.assert_array_equal(
            transformer.transform(gray), transformer.transform(gray2rgb(gray))
        )


def test_lab_ranges_hold_every_color():
    steps = np.linspace(0, 1, 18)
    lab = rgb2lab(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3))[0]
    for k, (low, high) in enumerate(RANGES["lab"]):
        assert low <= lab[:, k].min() < low + 2
        assert high - 2 < lab[:, k].max() <= high + 1e-9


@pytest.mark.parametrize("bins", [2, 4, 8, 12, 16, 32])
def test_every_gray_has_one_bin_of_a_and_b(bins):
    grays = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    _, a, b = np.split(ColorHistogram("lab", bins).transform(grays)[0], 3)
    assert a.max() == b.max() == 1


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("space", sorted(SPACES))
def test_moments_of_scikit_images_channels(name, space):
    values = CONVERSIONS[space](PICTURES[name]).reshape(-1, 3)
    mean = values.mean(axis=0)
    third = ((values - mean) ** 3).mean(axis=0)
    expected = np.stack([mean, values.std(axis=0), np.cbrt(third)], axis=1)
    moments = ColorMoments(space).transform(PICTURES[name][np.newaxis])[0].reshape(3, 3)
    atol = 0.02 if space == "lab" else 1e-5
    # Grey has skewness of nothing but rounding in a and b; the cube root makes much of that.
    np.testing.assert_allclose(moments, expected, atol=atol, rtol=1e-4)


@pytest.mark.parametrize("space", sorted(SPACES))
def test_one_color_varies_in_nothing(space):
    image = np.full((1, 9, 7, 3), (200, 30, 90), np.uint8)
    moments = ColorMoments(space).transform(image)[0].reshape(3, 3)
    np.testing.assert_allclose(moments[:, 1:], 0, atol=1e-6)
    np.testing.assert_allclose(moments[:, 0], CONVERSIONS[space](image)[0, 0, 0], atol=2e-3)


def test_names_say_cell_channel_and_bin():
    image = PICTURES["coffee"][np.newaxis]
    names = ColorHistogram(bins=(2, 1, 3), grid=2).fit(image).get_feature_names_out().tolist()
    assert names[:6] == [f"color_y0_x0_{bin}" for bin in ("h0", "h1", "s0", "v0", "v1", "v2")]
    assert names[6] == "color_y0_x1_h0"
    joint = ColorHistogram("lab", (2, 1, 3), joint=True).fit(image).get_feature_names_out()
    assert joint[[1, 3]].tolist() == ["color_y0_x0_l0_a0_b1", "color_y0_x0_l1_a0_b0"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bins": 0}, "bins"),
        ({"bins": (8, 8)}, r"bins must be .* or three of them, one per channel, .* got \(8, 8\)"),
        ({"bins": (8, 8, 0)}, "bins must be"),
        ({"space": "xyz"}, "space"),
        ({"joint": "yes"}, "joint"),
        ({"grid": 10}, "grid=10 needs images of at least 10 x 10 pixels, got 12 x 9"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        ColorHistogram(**parameters).fit(np.zeros((1, 12, 9), np.uint8))


def test_parameters_of_moments_are_checked():
    with pytest.raises(ValueError, match="space"):
        ColorMoments("xyz").fit(np.zeros((1, 12, 9), np.uint8))
    with pytest.raises(ValueError, match="ColorMoments with grid=10 needs images"):
        ColorMoments(grid=10).fit(np.zeros((1, 12, 9), np.uint8))
