import warnings

import numpy as np
import pytest
import skimage.feature
from skimage import data, img_as_float

from imgfeat import LBP, local_binary_pattern
from imgfeat.features._lbp_kernel import neighbour_table

PICTURES = {
    "camera": data.camera()[60:190, 150:290],
    "brick": data.brick()[:110, :90],
    "float": img_as_float(data.camera())[60:160, 150:260],
    "text": data.text()[:80, :120],
}
CIRCLES = [(8, 1), (16, 2), (4, 1), (8, 2), (12, 1.5), (3, 1), (1, 1), (5, 0.7)]


def reference(image, n_points, radius, method):
    with warnings.catch_warnings():  # scikit-image warns of floating-point images
        warnings.simplefilter("ignore", UserWarning)
        return skimage.feature.local_binary_pattern(image, n_points, radius, method)


def excesses(image, n_points, radius):
    """Interpolated neighbours minus centre, by indexing a padded array: (points, h, w)."""
    reach = int(np.ceil(radius)) + 1
    padded = np.pad(image.astype(float), reach)
    h, w = image.shape
    angles = 2 * np.pi * np.arange(n_points) / n_points
    result = []
    for down, across in zip(
        np.round(-radius * np.sin(angles), 5), np.round(radius * np.cos(angles), 5), strict=True
    ):
        top, left = int(np.floor(down)), int(np.floor(across))
        f, g = down - top, across - left
        window = [
            [padded[reach + top + i :, reach + left + j :][:h, :w] for j in (0, 1)] for i in (0, 1)
        ]
        upper = (1 - g) * window[0][0] + g * window[0][1]
        lower = (1 - g) * window[1][0] + g * window[1][1]
        result.append((1 - f) * upper + f * lower - image)
    return np.stack(result)


def ties(image, n_points, radius):
    return (np.abs(excesses(image, n_points, radius)) < 1e-9).any(axis=0)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("n_points", "radius"), CIRCLES)
@pytest.mark.parametrize("method", ["default", "ror", "uniform", "nri_uniform"])
def test_codes_are_scikit_images_away_from_ties(name, n_points, radius, method):
    image = PICTURES[name]
    differs = local_binary_pattern(image, n_points, radius, method) != reference(
        image, n_points, radius, method
    )
    assert not (differs & ~ties(image, n_points, radius)).any()


def test_many_points():
    image = PICTURES["camera"]
    differs = local_binary_pattern(image, 24, 3, "uniform") != reference(image, 24, 3, "uniform")
    assert not (differs & ~ties(image, 24, 3)).any()


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(("n_points", "radius"), CIRCLES)
def test_ties_count_as_not_darker(name, n_points, radius):
    image = PICTURES[name]
    bits = excesses(image, n_points, radius) > -1e-9
    expected = (bits * (1 << np.arange(n_points))[:, np.newaxis, np.newaxis]).sum(axis=0)
    np.testing.assert_array_equal(local_binary_pattern(image, n_points, radius), expected)


def test_scikit_images_rounding_decides_some_ties_otherwise():
    image = PICTURES["float"]
    ours = local_binary_pattern(image, 8, 1)
    theirs = reference(image, 8, 1, "default").astype(int)
    differs = ours != theirs
    assert differs.any()
    assert ties(image, 8, 1)[differs].all()
    assert ((ours | theirs) == ours)[differs].all()  # a tie sets the bit


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize(("n_points", "radius"), CIRCLES)
def test_flat_regions_set_every_bit(value, n_points, radius):
    for image in (np.full((12, 12), value, np.uint8), np.full((12, 12), value / 255)):
        inner = local_binary_pattern(image, n_points, radius)[3:-3, 3:-3]
        assert (inner == 2**n_points - 1).all()


def test_codes_worked_by_hand():
    # Around the middle pixel, 5: right 3, upper right (between pixels, towards 9), up 8, upper
    # left (towards 1), left 5, lower left (towards 0), down 2, lower right (towards 7).
    image = np.array([[1, 8, 9], [5, 5, 3], [0, 2, 7]], np.uint8)
    # bit 0: 3 < 5 no. bit 1: .5 * 4 + .207 * (-2 + 3) > 0 yes. bit 2: 8 yes.
    # bit 3: .5 * -4 + .207 * (0 + 3) < 0 no. bit 4: 5 ties, yes. bit 5: .5 * -5 + ... no.
    # bit 6: 2 no. bit 7: .5 * 2 + .207 * (-2 - 3) = -0.04 no.
    assert local_binary_pattern(image)[1, 1] == 0b00010110


def test_integer_comparison_has_the_sign_of_the_interpolation():
    points, shares = neighbour_table(8, 1)
    down, across = shares[points[:, 4] == 1][0]
    beside, corner = down * across, (1 - down) * across
    assert beside == pytest.approx((1 - down) * (1 - across), abs=1e-12)
    assert (beside, corner) == pytest.approx((0.2071, 0.5), abs=1e-4)
    sides, edge = np.meshgrid(np.arange(-510, 511), np.arange(-255, 256), indexing="ij")
    expected = beside * sides + corner * edge > -1e-9
    np.testing.assert_array_equal(5 * sides + 12 * edge + ((73 * edge) >> 10) >= 0, expected)


@pytest.mark.parametrize("name", ["camera", "brick", "float"])
@pytest.mark.parametrize(("n_points", "radius"), CIRCLES)
def test_variance_is_scikit_images(name, n_points, radius):
    image = PICTURES[name]
    ours = local_binary_pattern(image, n_points, radius, "var")
    theirs = reference(image, n_points, radius, "var")
    both = np.isfinite(ours) & np.isfinite(theirs)
    scale = 1 if image.dtype == np.uint8 else 255**-2
    np.testing.assert_allclose(ours[both], theirs[both], rtol=1e-6, atol=1e-6 * scale)
    # Where one is NaN (all neighbours equal) the other is no more than rounding.
    assert np.nanmax(np.abs(np.where(both, 0, ours)), initial=0) < 1e-6 * scale
    assert np.nanmax(np.abs(np.where(both, 0, theirs)), initial=0) < 1e-6 * scale


@pytest.mark.parametrize("method", ["default", "uniform", "nri_uniform"])
def test_histogram_of_scikit_images_labels(method):
    image = PICTURES["camera"]
    bins = {"default": 256, "uniform": 10, "nri_uniform": 59}[method]
    labels = reference(image, 8, 1, method).astype(int)
    expected = np.bincount(labels.ravel(), minlength=bins) / labels.size
    share_of_ties = ties(image, 8, 1).mean()
    histogram = LBP(method=method).transform(image[np.newaxis])[0]
    assert histogram.shape == (bins,)
    assert np.abs(histogram - expected).sum() <= 2 * share_of_ties + 1e-6
    assert (labels != local_binary_pattern(image, 8, 1, method)).sum() == 0
    np.testing.assert_allclose(histogram, expected, atol=1e-7)


@pytest.mark.parametrize("method", ["default", "ror", "uniform", "nri_uniform"])
@pytest.mark.parametrize(("n_points", "radius"), [(8, 1), (10, 2)])
def test_cells_are_histograms_of_parts_of_the_picture(method, n_points, radius):
    image = PICTURES["brick"]
    labels = local_binary_pattern(image, n_points, radius, method)
    possible = np.unique(
        local_binary_pattern(np.random.default_rng(0).random((400, 400)), n_points, radius, "ror")
    )
    lbp = LBP(n_points, radius, method, grid=4).fit(image[np.newaxis])
    cells = lbp.transform(image[np.newaxis]).reshape(4, 4, -1)
    rows, cols = (np.arange(5) * side // 4 for side in image.shape)
    for y in range(4):
        for x in range(4):
            part = labels[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]
            counts = np.bincount(part.ravel(), minlength=2**n_points)
            if method == "ror":
                counts = counts[possible]
            np.testing.assert_allclose(cells[y, x], counts[: cells.shape[2]] / part.size, atol=1e-7)
    np.testing.assert_allclose(cells.sum(axis=2), 1, atol=1e-6)


def test_variance_histogram_has_a_bin_an_octave():
    image = PICTURES["camera"]
    variance = np.nan_to_num(reference(image, 8, 1, "var"))
    edges = [0, *(2.0 ** np.arange(15))]
    expected = np.histogram(variance, edges)[0] / image.size
    lbp = LBP(method="var").fit(image[np.newaxis])
    np.testing.assert_allclose(lbp.transform(image[np.newaxis])[0], expected, atol=1e-4)
    np.testing.assert_allclose(lbp.transform(image[np.newaxis] / 255)[0], expected, atol=1e-3)
    assert lbp.get_feature_names_out()[:3].tolist() == [
        "lbp_y0_x0_var0",
        "lbp_y0_x0_var1",
        "lbp_y0_x0_var2",
    ]


def test_rotation_invariance():
    image = PICTURES["camera"][:100, :100]
    for method in ("ror", "uniform", "var"):
        inner = [
            local_binary_pattern(np.ascontiguousarray(turned), 8, 1, method)[1:-1, 1:-1]
            for turned in (image, np.rot90(image))
        ]
        np.testing.assert_allclose(np.rot90(inner[0]), inner[1])


def test_uint8_and_float_agree_but_for_ties():
    image = PICTURES["camera"]
    differs = local_binary_pattern(image) != local_binary_pattern(image / 255)
    assert differs.mean() < 0.001


def test_color_is_reduced_to_luma():
    coffee = data.coffee()[np.newaxis, :64, :64]
    gray = (coffee @ np.array([19595, 38470, 7471]) + 32768) >> 16
    np.testing.assert_array_equal(LBP().transform(coffee), LBP().transform(gray.astype(np.uint8)))


def test_large_tables_are_refused():
    image = np.zeros((1, 9, 9), np.uint8)
    with pytest.raises(ValueError, match="n_points must be at most 16 for method='default'"):
        LBP(17, method="default").fit(image)
    with pytest.raises(ValueError, match="n_points"):
        LBP(25).fit(image)


def test_grid_finer_than_the_image_is_refused():
    with pytest.raises(ValueError, match="grid=10 needs images of at least 10 x 10"):
        LBP(grid=10).fit(np.zeros((1, 12, 9), np.uint8))


@pytest.mark.parametrize(
    "parameters", [{"n_points": 0}, {"radius": 0}, {"method": "lbp"}, {"grid": 0}]
)
def test_parameters_are_checked(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        LBP(**parameters).fit(np.zeros((1, 9, 9), np.uint8))
