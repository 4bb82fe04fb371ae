import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from skimage.color import gray2rgb
from skimage.filters import gabor, gabor_kernel

from imgfeat import Gabor
from imgfeat.features.gabor import split_gabor

PICTURES = {
    "camera": data.camera()[60:140, 150:230] / 255,
    "brick": data.brick()[:48, :61] / 255,
    # Narrower than the filters: the mirrored image is mirrored again.
    "tiny": np.random.default_rng(0).random((5, 7)),
    "pixel": np.array([[0.3]]),
}


def reference(image, frequency, angle, bandwidth=1):
    return np.hypot(*gabor(image, frequency, angle, bandwidth))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    ("frequencies", "orientations", "bandwidth"),
    [((0.1, 0.4), 4, 1), ((0.25,), 3, 0.6), ((0.5, 0.17), 1, 2)],
)
def test_responses_are_scikit_images(name, frequencies, orientations, bandwidth):
    image = PICTURES[name]
    bank = Gabor(frequencies, orientations, bandwidth, ("mean", "std", "max"))
    responses = [
        reference(image, frequency, np.pi * k / orientations, bandwidth)
        for frequency in frequencies
        for k in range(orientations)
    ]
    expected = [[r.mean(), r.std(), r.max()] for r in responses]
    np.testing.assert_allclose(bank.transform(image[None])[0], np.ravel(expected), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 0.5), st.floats(0, np.pi), st.floats(0.5, 3))
def test_filters_are_products(frequency, angle, bandwidth):
    across, down = split_gabor(frequency, angle, bandwidth)
    expected = gabor_kernel(frequency, angle, bandwidth)
    np.testing.assert_allclose(np.outer(down, across), expected, atol=1e-12)


def test_a_wave_answers_to_its_own_filter():
    y, x = np.mgrid[:64, :64]
    frequencies, n = (0.1, 0.2, 0.4), 4
    bank = Gabor(frequencies, n, pooling="mean")
    for i, k in itertools.product(range(3), range(n)):
        angle = np.pi * k / n
        phase = 2 * np.pi * frequencies[i] * (x * np.cos(angle) + y * np.sin(angle))
        responses = bank.transform((0.5 + 0.5 * np.cos(phase))[None])[0]
        assert responses.argmax() == i * n + k


def test_turning_the_image_turns_the_filters():
    image = PICTURES["camera"]
    plain = Gabor().transform(image[None]).reshape(3, 4, 2)
    turned = Gabor().transform(np.rot90(image)[None]).reshape(3, 4, 2)
    np.testing.assert_allclose(turned, plain[:, [2, 3, 0, 1]], atol=1e-6)


def test_cells_share_the_responses_of_the_whole_image():
    image = PICTURES["camera"][:70, :50]
    pooled = Gabor((0.2,), 1, grid=3).transform(image[np.newaxis]).reshape(3, 3, 2)
    response = reference(image, 0.2, 0)
    rows, cols = np.arange(4) * 70 // 3, np.arange(4) * 50 // 3
    for y, x in itertools.product(range(3), repeat=2):
        part = response[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]
        np.testing.assert_allclose(pooled[y, x], [part.mean(), part.std()], atol=1e-6)


def test_every_kind_of_image_counts_in_zero_to_one():
    image = data.camera()[None, 60:140, 150:230]
    expected = Gabor().transform(image / 255)
    for same in (image, (image / 255).astype(np.float32), gray2rgb(image)):
        np.testing.assert_allclose(Gabor().transform(same), expected, atol=1e-6)


def test_names_say_frequency_and_angle():
    bank = Gabor((0.1, 0.25), 3, grid=2, pooling="max").fit(PICTURES["brick"][None])
    assert bank.get_feature_names_out()[[0, 1, 4, 23]].tolist() == [
        "gabor_f0.1_t0_y0_x0_max",
        "gabor_f0.1_t0_y0_x1_max",
        "gabor_f0.1_t60_y0_x0_max",
        "gabor_f0.25_t120_y1_x1_max",
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"frequencies": ()}, "frequencies must be one or more different numbers"),
        ({"frequencies": (0.1, 0.6)}, r"in \(0, 0.5\], in periods per pixel, got \(0.1, 0.6\)"),
        ({"frequencies": (0, 0.1)}, "frequencies must be"),
        ({"frequencies": (0.1, 0.1)}, "frequencies must be"),
        ({"frequencies": 0.1}, "frequencies"),
        ({"orientations": 0}, "orientations"),
        ({"bandwidth": 0}, "bandwidth"),
        ({"pooling": "median"}, "pooling"),
        ({"pooling": ()}, "pooling must be one or more of mean, std, max"),
        ({"pooling": ("mean", "mean")}, "each once"),
        ({"grid": 10}, "grid=10 needs images of at least 10 x 10 pixels, got 12 x 9"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        Gabor(**parameters).fit(np.zeros((1, 12, 9), np.uint8))
