import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from skimage import data
from skimage.color import rgba2rgb

from imgfeat.images.validation import check_images, check_one_image, to_gray, to_uint8

SIDES = st.integers(5, 9)
CHANNELS = st.sampled_from([1, 3, 4])


@st.composite
def image_batches(draw):
    shape = (draw(st.integers(0, 3)), draw(SIDES), draw(SIDES), draw(CHANNELS))
    dtype = draw(st.sampled_from([np.uint8, np.float16, np.float32, np.float64]))
    if dtype == np.uint8:
        return draw(hnp.arrays(dtype, shape))
    width = np.dtype(dtype).itemsize * 8
    return draw(hnp.arrays(dtype, shape, elements=st.floats(0, 1, width=width)))


@settings(deadline=None, max_examples=60)
@given(image_batches())
def test_every_layout_gives_the_same_images(batch):
    images = check_images(batch)
    assert images.shape == (*batch.shape[:3], 3 if batch.shape[3] == 4 else batch.shape[3])
    assert images.dtype in (np.uint8, np.float32, np.float64)
    assert images.flags.c_contiguous
    assert not images.flags.writeable
    flat = batch.reshape(len(batch), batch[0:1].size if len(batch) else np.prod(batch.shape[1:]))
    np.testing.assert_array_equal(check_images(flat, image_shape=batch.shape[1:]), images)
    np.testing.assert_array_equal(check_images(np.asfortranarray(batch)), images)
    big_endian = batch.astype(batch.dtype.newbyteorder(">"))
    np.testing.assert_array_equal(check_images(big_endian), images)
    if batch.shape[3] == 1:
        np.testing.assert_array_equal(check_images(batch[..., 0]), images)


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from([np.int64, np.uint16, np.bool_, np.complex64, "U3", object]),
        st.tuples(st.integers(1, 2), SIDES, SIDES),
    )
)
def test_other_dtypes_are_refused(batch):
    with pytest.raises((ValueError, TypeError), match=r"Images must be"):
        check_images(batch)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([np.nan, np.inf, -np.inf, -0.01, 1.01, 255.0]),
    st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 5)),
)
def test_values_out_of_range_are_refused(value, place):
    batch = np.full((2, 6, 6), 0.5)
    batch[place] = value
    with pytest.raises(ValueError, match=r"NaN|must lie in \[0, 1\]"):
        check_images(batch)


@settings(deadline=None, max_examples=60)
@given(hnp.array_shapes(min_dims=1, max_dims=5, max_side=7))
def test_shapes_are_accepted_or_explained(shape):
    batch = np.zeros(shape, np.uint8)
    valid = len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3, 4))
    if valid:
        assert check_images(batch).ndim == 4
    else:
        with pytest.raises(ValueError, match="Images must have"):
            check_images(batch)


def test_valid_input_is_not_copied():
    batch = np.zeros((2, 5, 5, 3), np.uint8)
    images = check_images(batch)
    assert np.shares_memory(images, batch)
    assert batch.flags.writeable


def test_alpha_is_blended_onto_white_as_scikit_image_does():
    color = data.coffee()[:60, :256]
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8), color.shape[:2])
    rgba = np.dstack([color, ramp])
    blended = check_images(rgba[np.newaxis])[0]
    np.testing.assert_allclose(blended, rgba2rgb(rgba) * 255, atol=0.5 + 1e-9)
    floats = check_images(rgba[np.newaxis] / 255)[0]
    np.testing.assert_allclose(floats, rgba2rgb(rgba), atol=1e-12)


def test_luma_is_pillows():
    picture = data.coffee()
    expected = np.asarray(Image.fromarray(picture).convert("L"))
    np.testing.assert_array_equal(to_gray(check_one_image(picture))[0], expected)
    floats = to_gray(check_one_image(picture / 255))[0]
    np.testing.assert_allclose(floats * 255, expected, atol=0.51)


def test_float_images_round_to_the_nearest_uint8():
    images = check_images(np.array([[[0, 0.001, 0.003, 0.499, 1.0]]]))
    assert to_uint8(images).ravel().tolist() == [0, 0, 1, 127, 255]


@pytest.mark.parametrize(
    ("batch", "remedy"),
    [
        (["a.png", "b.png"], "ImageLoader"),
        ([np.zeros((4, 5)), np.zeros((6, 5))], "ImageLoader"),
        (np.zeros((3, 64)), "image_shape"),
        (np.zeros((3, 6, 6), np.uint16), r"X / 65535"),
        (np.zeros((3, 6, 6), int), r"astype\(np.uint8\)"),
        (np.full((3, 6, 6), 16.0), r"X / 16"),
        (np.zeros((2, 3, 6, 6), np.uint8), "moveaxis"),
    ],
)
def test_errors_state_the_remedy(batch, remedy):
    with pytest.raises((ValueError, TypeError), match=remedy):
        check_images(batch)


def test_sparse_is_refused():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="toarray"):
        check_images(scipy_sparse.eye_array(4), image_shape=(2, 2))


@pytest.mark.parametrize("image_shape", [(8,), (8, 8, 3, 1), (0, 8), "8x8", (8.0, 8)])
def test_image_shape_is_checked(image_shape):
    with pytest.raises(ValueError, match="image_shape"):
        check_images(np.zeros((2, 64), np.uint8), image_shape=image_shape)


def test_one_color_image_alone_gets_a_warning():
    with pytest.warns(UserWarning, match="newaxis"):
        check_images(data.coffee())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_images(data.coffee()[np.newaxis])
