"""Pixels of more than 8 bits, by the file's own tags and by value_range."""

import io
import itertools
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data, exposure
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from imgfeat import HOG, ImageLoader, ImageReadError, load_model, save_model
from imgfeat.export import load_onnx, to_onnx
from imgfeat.images.decoding import find_damage, read_image

COLOR = data.coffee()[:45, :60]
GRAY = data.camera()[100:145, 200:260]
ALPHA = np.linspace(0, 1, 60)
TOPS = {"u1": 255, "u2": 65535, "u4": 2**32 - 1, "u8": 2**64 - 1, "i1": 127, "i2": 32767}
TOPS |= {"i4": 2**31 - 1, "i8": 2**63 - 1, "f2": 1, "f4": 1, "f8": 1}


def write_tiff(pixels, *tags, **options):
    buffer = io.BytesIO()
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    tifffile.imwrite(buffer, pixels, extratags=[(*tag, True) for tag in tags], **options)
    return buffer.getvalue()


def to_depth(image, kind):
    """Scale an image in [0, 1] to a dtype; a little below its top, which float64 may exceed."""
    return (image * TOPS[kind] * 0.999).astype(kind)


def expect(pixels, kind, n_alpha=0):
    """What stored values stand for, on white, as colours of 8 bits."""
    values = pixels.astype(np.float64).reshape(*pixels.shape[:2], -1) / TOPS[kind]
    if n_alpha:
        values = values[..., :-1] * values[..., -1:] + 1 - values[..., -1:]
    return np.broadcast_to(np.rint(values * 255), (*pixels.shape[:2], 3))


@pytest.mark.parametrize("kind", TOPS)
@pytest.mark.parametrize("n_bands", [1, 2, 3, 4])
def test_tiff_of_every_sample_format(kind, n_bands):
    image = GRAY / 255 if n_bands < 3 else COLOR / 255
    if n_bands in (2, 4):
        alpha = np.broadcast_to(ALPHA, image.shape[:2])
        image = np.dstack([image, alpha])
    pixels = to_depth(image, kind)
    n_alpha = int(n_bands in (2, 4))
    options = {"photometric": "rgb" if n_bands > 2 else "minisblack"}
    if n_alpha:
        options["extrasamples"] = ["unassalpha"]
    slack = 1 if kind in ("u1", "i1") else 0  # Pillow blends alpha of 8 bits in whole numbers
    layouts = itertools.product("<>", (None, (16, 32)), (None, "zlib"), ("contig", "separate"))
    for order, tile, compression, planes in layouts:
        if n_bands == 1 and planes == "separate":
            continue
        stored = np.moveaxis(pixels, 2, 0) if planes == "separate" else pixels
        layout = {"byteorder": order, "tile": tile, "compression": compression}
        layout["predictor"] = compression is not None and kind in ("u2", "i4")
        if n_bands > 1:
            layout["planarconfig"] = planes
        if tile is None:
            layout["rowsperstrip"] = 11
        got = read_image(write_tiff(stored, **options, **layout))
        difference = np.abs(got - expect(pixels, kind, n_alpha))
        assert difference.max() <= slack, layout


@pytest.mark.parametrize("predictor", [1, "its own"])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773], ids=["none", "LZW", "ZIP", "PackBits"])
@pytest.mark.parametrize("kind", ["u2", "f4", "f8"])
def test_compressed_tiff_of_another_writer(kind, compression, predictor):
    if predictor == "its own":
        predictor = 2 if kind == "u2" else 3
    pixels = to_depth(COLOR / 255, kind)
    flags = [cv2.IMWRITE_TIFF_COMPRESSION, compression, cv2.IMWRITE_TIFF_PREDICTOR, predictor]
    content = cv2.imencode(".tif", pixels, flags)[1].tobytes()
    np.testing.assert_array_equal(read_image(content), expect(pixels[..., ::-1], kind))


@pytest.mark.parametrize("bits", [2, 4, 6, 10, 12, 14, 20])
@pytest.mark.parametrize("white", ["white is highest", "white is zero"])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiff_of_any_number_of_bits(bits, white, compression):
    height, width = GRAY.shape
    top = 2**bits - 1
    values = np.rint(GRAY / 255 * top).astype(">u4")
    digits = np.unpackbits(values.view(np.uint8).reshape(height, width, 4), axis=2)
    content = np.packbits(digits[..., 32 - bits :].reshape(height, -1), axis=1).tobytes()
    content = zlib.compress(content) if compression == 8 else content
    inverted = white == "white is zero"
    tags = {256: width, 257: height, 258: bits, 259: compression, 262: int(not inverted)}
    tags |= {273: 122, 277: 1, 278: height, 279: len(content)}
    for order, start in (("<", b"II"), (">", b"MM")):
        entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, v) for tag, v in tags.items())
        header = start + struct.pack(order + "HIH", 42, 8, len(tags)) + entries + bytes(4)
        expected = np.rint((top - values if inverted else values) / top * 255)
        got = read_image(header + content, color="gray")
        # Pillow cuts off where it brings 4 bits to 8.
        assert np.abs(got - expected).max() <= (1 if bits < 8 else 0)


def test_white_is_zero():
    for kind in ("u1", "u2", "f4"):
        pixels = to_depth(GRAY / 255, kind)
        got = read_image(write_tiff(pixels, photometric="miniswhite"), color="gray")
        expected = np.rint((1 - pixels.astype(np.float64) / TOPS[kind]) * 255)
        np.testing.assert_array_equal(got, expected)


def test_tags_say_what_is_white():
    twelve = np.rint(GRAY / 255 * 4000).astype(np.uint16)
    expected = np.rint(twelve / 4095 * 255)
    got = read_image(write_tiff(twelve, (281, "H", 1, 4095)), color="gray")
    np.testing.assert_array_equal(got, expected)
    # A tag that the pixels exceed is not theirs.
    got = read_image(write_tiff(twelve, (281, "H", 1, 255)), color="gray")
    np.testing.assert_array_equal(got, np.rint(twelve / 65535 * 255))
    signed = twelve.astype(np.int16) - 1000
    tags = [(340, "h", 1, -1000), (341, "h", 1, 3095)]
    np.testing.assert_array_equal(read_image(write_tiff(signed, *tags), color="gray"), expected)
    floats = twelve.astype(np.float32)
    tags = [(340, "f", 1, 0.0), (341, "f", 1, 4095.0)]
    np.testing.assert_array_equal(read_image(write_tiff(floats, *tags), color="gray"), expected)


@pytest.mark.parametrize("top", [1, 100, 1000, 4095, 65535])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
def test_pgm_and_ppm_of_any_depth(kind, top):
    image = GRAY if kind in ("P2", "P5") else COLOR
    values = np.rint(image / 255 * top).astype(int)
    if kind in ("P2", "P3"):
        content = b"# c\n" + b" ".join(b"%d" % value for value in values.flat)
    else:
        content = values.astype(">u2" if top > 255 else np.uint8).tobytes()
    source = f"{kind}\n60 45\n{top}\n".encode() + content
    color = "gray" if image.ndim == 2 else "rgb"
    got = read_image(source, color=color)
    assert np.abs(got - values / top * 255).max() <= 0.5
    if top > 1:
        got = read_image(source, color=color, value_range=(0, top / 2))
        assert np.abs(got - np.minimum(values / top * 2, 1) * 255).max() <= 0.5001


@pytest.mark.parametrize("n_bands", [1, 3, 4])
def test_png_of_16_bits(n_bands):
    image = {1: GRAY / 255, 3: COLOR / 255, 4: np.dstack([COLOR / 255, GRAY / 255])}[n_bands]
    pixels = to_depth(image, "u2")
    stored = pixels if n_bands == 1 else pixels[..., [2, 1, 0, 3][:n_bands]]
    source = cv2.imencode(".png", np.ascontiguousarray(stored))[1].tobytes()
    np.testing.assert_array_equal(read_image(source), expect(pixels, "u2", n_bands == 4))
    if n_bands == 3:
        got = read_image(source, value_range=(1000, 40000))
        scaled = exposure.rescale_intensity(pixels.astype(float), (1000, 40000), (0, 255))
        np.testing.assert_array_equal(got, np.rint(scaled))


def test_pil_images_are_as_their_files_and_loading_changes_nothing(tmp_path):
    for name, content in {
        "white": write_tiff(to_depth(GRAY / 255, "u2"), photometric="miniswhite"),
        "wide": write_tiff(to_depth(GRAY / 255, "u4")),
        "color.tif": write_tiff(to_depth(COLOR / 255, "u2")),
        "color.png": cv2.imencode(".png", to_depth(COLOR / 255, "u2"))[1].tobytes(),
    }.items():
        path = tmp_path / name
        path.write_bytes(content)
        with Image.open(path) as image:
            first = read_image(image)
            image.load()
            np.testing.assert_array_equal(read_image(image), first)
        # Pillow keeps the upper 8 bits of colours.
        slack = 1 if "color" in name else 0
        assert np.abs(first.astype(int) - read_image(path)).max() <= slack
    with (
        Image.open(tmp_path / "color.tif") as image,
        pytest.raises(ImageReadError, match=r"8 bits.*path"),
    ):
        read_image(image, value_range=(0, 4095))


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i8", "f4", "f8"])
def test_value_range_is_as_rescale_intensity(kind):
    pixels = (GRAY.astype(np.float64) * 0.4 + 10).astype(kind)
    low, high = np.percentile(pixels, [1, 99])
    cases = {"image": "image", (20, 90): (20, 90), ("1%", "99%"): (low, high)}
    for value_range, in_range in cases.items():
        scaled = exposure.rescale_intensity(pixels.astype(float), in_range, (0, 255))
        loader = ImageLoader(GRAY.shape, color="gray", value_range=value_range)
        sources = [pixels] if kind == "i8" else [pixels, write_tiff(pixels)]
        for image in loader.transform(sources):
            assert np.abs(image - scaled).max() <= 0.5001
        np.testing.assert_array_equal(loader.transform(pixels[np.newaxis])[0], image)


def test_value_range_leaves_alpha_alone():
    pixels = np.dstack([COLOR // 2, np.broadcast_to(ALPHA * 255, GRAY.shape).astype(np.uint8)])
    scaled = np.minimum(pixels[..., :3] / 127, 1)
    alpha = pixels[..., 3:] / 255
    expected = np.rint((scaled * alpha + 1 - alpha) * 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    for source in (pixels, file.getvalue()):
        np.testing.assert_array_equal(read_image(source, value_range=(0, 127)), expected)


def test_a_flat_image_is_black_by_its_own_range():
    assert not read_image(np.full((4, 5), 700, np.int32), value_range="image").any()


def test_pixels_without_meaning_are_refused_with_the_remedy():
    wavelengths = np.moveaxis(np.stack([GRAY] * 5), 0, 2)
    cases = {
        "int16 pixels from -.* to .*value_range": GRAY.astype(np.int16) * 9 - 1000,
        "float32 pixels from 7 to .*value_range": GRAY.astype(np.float32),
        "5 bands.*Choose": wavelengths,
        "complex": GRAY.astype(np.complex64),
    }
    for message, pixels in cases.items():
        options = {"planarconfig": "contig"} if pixels.ndim == 3 else {}
        with pytest.raises(ImageReadError, match=message):
            read_image(write_tiff(pixels, photometric="minisblack", **options))
    with pytest.raises(ImageReadError, match="NaN"):
        read_image(write_tiff(np.full((4, 4), np.nan)), value_range="image")
    with pytest.raises(ImageReadError, match="value_range"):
        read_image(GRAY.astype(np.uint16))
    with pytest.raises(ImageReadError, match="int32 pixels"):
        read_image(Image.fromarray(np.full((4, 4), 70000, np.int32)))


@pytest.mark.parametrize(
    "value_range", ["max", (3, 3), (5, 1), (0, np.inf), ("1", "99%"), ("5%", 9), (1,), ("9%", "2%")]
)
def test_value_range_is_checked(value_range):
    with pytest.raises(ValueError, match="value_range"):
        ImageLoader(value_range=value_range).fit([GRAY])


@pytest.mark.parametrize("kind", ["u1", "u2", "f8"])
@pytest.mark.parametrize("bands", ["gray", "rgb"])
def test_tiff_of_any_depth_and_orientation(kind, bands):
    image = GRAY if bands == "gray" else COLOR
    turns = {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.swapaxes(0, 1),
        6: np.rot90(image, -1),
        7: image[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(image, 1),
    }
    stored = np.rint(image / 255 * TOPS[kind]).astype(kind) if kind != "f8" else image / 255
    for orientation, expected in turns.items():
        source = write_tiff(stored, (274, "H", 1, orientation))
        color = "gray" if bands == "gray" else "rgb"
        np.testing.assert_array_equal(read_image(source, color=color), expected)


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", ">u2"])
def test_large_images_are_scaled_as_small_ones(kind):
    # Of large ones, each value that there can be is scaled once.
    pixels = (np.arange(300 * 300).reshape(300, 300) % 200 - 100).astype(kind)
    for value_range in ((-50, 80.5), "image", ("5%", "90%")):
        whole = read_image(pixels, color="gray", value_range=value_range)
        limits = value_range
        if value_range == ("5%", "90%"):
            limits = tuple(np.percentile(pixels, [5, 90]))
        scaled = exposure.rescale_intensity(pixels.astype(float), limits, (0, 255))
        assert np.abs(whole - scaled).max() <= 0.5001


def test_models_keep_value_range(tmp_path):
    dark = [GRAY[k:, k:].astype(np.uint16) * 15 for k in range(8)]
    for value_range in ((0, 4095), ("1%", "99%"), "image"):
        loader = ImageLoader(32, color="gray", value_range=value_range)
        model = make_pipeline(loader, HOG(), LogisticRegression())
        model.fit(dark, [0, 1] * 4)
        save_model(model, tmp_path / "model.skops")
        loaded = load_model(tmp_path / "model.skops")
        np.testing.assert_array_equal(loaded.predict_proba(dark), model.predict_proba(dark))


def test_loaders_saved_before_value_range():
    state = ImageLoader(8).__getstate__()
    del state["value_range"]
    loader = ImageLoader.__new__(ImageLoader)
    loader.__setstate__(state)
    assert loader.transform([GRAY]).shape == (1, 8, 8, 3)


def test_exported_runtime_applies_it(tmp_path):
    dark = [write_tiff(GRAY[k:, k:].astype(np.uint16) * 15) for k in range(12)]
    loader = ImageLoader(32, color="gray", value_range=(0, 4095))
    model = make_pipeline(loader, HOG(), LogisticRegression()).fit(dark, [0, 1] * 6)
    to_onnx(model, dark, tmp_path / "model.onnx")
    served = load_onnx(tmp_path / "model.onnx")
    assert served.metadata_["input"]["loader"]["value_range"] == [0, 4095]
    arrays = [tifffile.imread(io.BytesIO(content)) for content in dark]
    for batch in (dark, arrays):
        expected = model.predict_proba(batch)
        np.testing.assert_allclose(served.predict_proba(batch), expected, atol=1e-5)
    for bad in (None, np.full((9, 9), np.nan)):
        with pytest.raises(ImageReadError, match="row 11"):
            served.predict([*dark[:11], bad])


def test_a_nearly_black_picture_is_found_by_a_look():
    assert "value_range" in find_damage(write_tiff(GRAY.astype(np.uint16)))
    assert find_damage(write_tiff(GRAY.astype(np.uint16) * 257)) is None
