import io
import warnings

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from skimage import data

from imgfeat import BadImageWarning, ImageLoader, ImageReadError
from imgfeat.images.decoding import read_image
from imgfeat.images.resizing import resize_image

COFFEE = data.coffee()[:120, :160]
GRAY = data.camera()[:90, :70]


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM"])
def test_lossless_formats_come_back_exactly(kind):
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(COFFEE), kind)), COFFEE)
    gray = encode(Image.fromarray(GRAY), kind)
    np.testing.assert_array_equal(read_image(gray, color="gray"), GRAY)
    np.testing.assert_array_equal(read_image(gray), np.repeat(GRAY[..., None], 3, axis=2))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_lossy_formats_come_back_nearly(kind, mode):
    picture = Image.fromarray(COFFEE).convert(mode)
    source = encode(picture, kind, quality=95, subsampling=0)
    pixels = read_image(source, color="gray" if mode == "L" else "rgb")
    assert np.abs(pixels.astype(int) - np.asarray(picture)).mean() < 2


def test_gray_is_pillows_luma_from_files_and_arrays_alike():
    expected = np.asarray(Image.fromarray(COFFEE).convert("L"))
    np.testing.assert_array_equal(
        read_image(encode(Image.fromarray(COFFEE), "PNG"), color="gray"), expected
    )
    np.testing.assert_array_equal(read_image(COFFEE, color="gray"), expected)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_gray_keeps_its_range(kind):
    deep = GRAY.astype(np.uint16) * 257
    pixels = read_image(encode(Image.fromarray(deep), kind), color="gray")
    np.testing.assert_array_equal(pixels, GRAY)


def test_floating_point_tiff():
    source = encode(Image.fromarray((GRAY / 255).astype(np.float32)), "TIFF")
    np.testing.assert_array_equal(read_image(source, color="gray"), GRAY)


def test_palette_and_transparency():
    palette = Image.fromarray(COFFEE).quantize(64)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(read_image(encode(palette, "PNG")), expected)
    np.testing.assert_array_equal(read_image(encode(palette, "GIF")), expected)
    clear = Image.new("RGBA", (6, 5), (10, 20, 30, 0))
    assert (read_image(encode(clear, "PNG")) == 255).all()
    indexed = Image.new("P", (6, 5), 0)
    assert (read_image(encode(indexed, "PNG", transparency=0), color="gray") == 255).all()


def test_cmyk_jpeg_has_the_right_colors():
    source = encode(Image.fromarray(COFFEE).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(read_image(source).astype(int) - COFFEE).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation):
    turned = {
        1: COFFEE,
        2: COFFEE[:, ::-1],
        3: COFFEE[::-1, ::-1],
        4: COFFEE[::-1],
        5: COFFEE.transpose(1, 0, 2),
        6: np.rot90(COFFEE, 1),
        7: COFFEE[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(COFFEE, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    source = encode(Image.fromarray(np.ascontiguousarray(turned)), "PNG", exif=exif)
    np.testing.assert_array_equal(read_image(source), COFFEE)


def test_every_kind_of_source_gives_the_same_image(tmp_path):
    path = tmp_path / "coffee.png"
    Image.fromarray(COFFEE).save(path)
    sources = [str(path), path, path.read_bytes(), Image.open(path), COFFEE]
    images = ImageLoader((40, 50)).transform(sources)
    assert images.shape == (5, 40, 50, 3)
    for image in images[1:]:
        np.testing.assert_array_equal(image, images[0])


def test_columns_of_paths(tmp_path):
    paths = []
    for i in range(3):
        paths.append(str(tmp_path / f"{i}.png"))
        Image.fromarray(COFFEE[i * 10 :]).save(paths[-1])
    loader = ImageLoader(16)
    expected = loader.transform(paths)
    for column in (
        np.array(paths),
        np.array(paths, dtype=object)[:, np.newaxis],
        pd.Series(paths, index=[7, 8, 9]),
        pd.DataFrame({"path": paths}),
        tuple(paths),
    ):
        np.testing.assert_array_equal(loader.transform(column), expected)


def test_shrinking_averages_over_areas():
    checks = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    shrunk = ImageLoader(16, color="gray").transform([checks.astype(np.uint8)])
    assert set(np.unique(shrunk)) <= {127, 128}
    means = COFFEE[:, :, 0].reshape(30, 4, 40, 4).mean(axis=(1, 3))
    shrunk = resize_image(np.ascontiguousarray(COFFEE[:, :, 0]), (30, 40))
    assert np.abs(shrunk - means).max() <= 0.5


def test_one_side_shrinks_over_areas_while_the_other_grows():
    columns = np.indices((8, 64))[1] % 2 * np.uint8(255)
    stretched = resize_image(columns.astype(np.uint8), (32, 16))
    assert set(np.unique(stretched)) <= {127, 128}


def test_stretch_crop_and_pad():
    left_white = np.zeros((20, 40), np.uint8)
    left_white[:, :10] = 255
    stretch = resize_image(left_white, (20, 20), "stretch")
    assert (stretch[:, :5] == 255).all()
    assert (stretch[:, 5:] == 0).all()
    assert (resize_image(left_white, (20, 20), "crop") == 0).all()
    pad = resize_image(left_white + np.uint8(0), (20, 20), "pad")
    assert (pad[:5] == 0).all()
    assert (pad[15:] == 0).all()
    assert (pad[5:15, :5] == 255).all()


@pytest.mark.parametrize("how", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (7, 5), (3, 3, 3)])
def test_any_shape_comes_to_size(how, shape):
    image = np.full(shape, 9, np.uint8)
    assert resize_image(image, (12, 8), how).shape == (12, 8, *shape[2:])


def test_same_size_is_untouched():
    np.testing.assert_array_equal(resize_image(COFFEE, COFFEE.shape[:2]), COFFEE)


def test_enlarging_interpolates_as_opencv():
    expected = cv2.resize(COFFEE, (320, 240), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(resize_image(COFFEE, (240, 320)), expected)


def bad_files(tmp_path):
    png = encode(Image.fromarray(COFFEE), "PNG")
    jpeg = encode(Image.fromarray(COFFEE), "JPEG")
    contents = {
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "truncated.png": png[: len(png) // 2],
        "header.png": png[:20],
        "text.jpg": b"this is no image",
        "empty.png": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents]


def test_damaged_files_are_named(tmp_path):
    for path in [*bad_files(tmp_path), str(tmp_path / "absent.png"), str(tmp_path)]:
        with pytest.raises(ImageReadError, match="Cannot read image") as caught:
            ImageLoader().transform([path])
        assert path in str(caught.value)


def test_blank_takes_the_place_of_damaged_files(tmp_path):
    paths = bad_files(tmp_path)
    sources = [COFFEE, *paths, COFFEE]
    with pytest.warns(BadImageWarning, match="5 image") as caught:
        images = ImageLoader(16, on_error="blank").transform(sources)
    assert [row for row, _, _ in caught[0].message.failures] == [1, 2, 3, 4, 5]
    assert [name for _, name, _ in caught[0].message.failures] == paths
    assert (images[1:6] == 0).all()
    np.testing.assert_array_equal(images[0], images[6])
    assert images[0].any()


def test_decompression_bombs_are_refused():
    bomb = encode(Image.new("1", (20000, 20000)), "PNG")
    assert len(bomb) < 100_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(ImageReadError, match="pixels"):
            read_image(bomb)
    with pytest.raises(ImageReadError, match="max_pixels=100"):
        ImageLoader(8, max_pixels=100).transform([COFFEE, encode(Image.fromarray(COFFEE), "PNG")])


@pytest.mark.parametrize("single", ["a.png", b"bytes", Image.new("L", (3, 3))])
def test_a_single_image_is_refused(single):
    with pytest.raises(TypeError, match="list"):
        ImageLoader().transform(single)


@pytest.mark.parametrize("item", [3, {"path": "a"}, ["a.png"]])
def test_foreign_items_are_refused(item):
    with pytest.raises(TypeError, match="path, bytes"):
        ImageLoader().transform([item])


@pytest.mark.parametrize(
    "parameters",
    [{"size": 0}, {"size": (3, 4, 5)}, {"color": "hsv"}, {"resize": "fit"}, {"on_error": "skip"}],
)
def test_parameters_are_checked(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        ImageLoader(**parameters).fit([COFFEE])


def test_fit_needs_images():
    with pytest.raises(ValueError, match="at least 1"):
        ImageLoader().fit([])
    assert ImageLoader(8).transform([]).shape == (0, 8, 8, 3)
