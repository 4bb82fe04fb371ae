"""Files with damage beside the picture are read; those that lack data of it are refused."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin
from skimage import data
from sklearn.pipeline import make_pipeline

from imgfeat import HOG, BadImageWarning, Batched, ImageLoader, ImageReadError
from imgfeat.images.decoding import find_damage, read_image

ODD_FILES = Path(__file__).parents[2] / "shared" / "data" / "odd-files"
COFFEE = data.coffee()[100:196, 200:328]
TURNED = np.rot90(COFFEE, -1)
# Of one entry each: ASCII ImageWidth and XResolution, XResolution -1/0, rational Software.
WRONG_ENTRIES = {
    "ASCII width": (0x0100, 2, 4, b"abc\0"),
    "ASCII resolution": (0x011A, 2, 4, b"abc\0"),
    "resolution -1/0": (0x011A, 10, 1, struct.pack(">ii", -1, 0)),
    "rational software": (0x0131, 5, 1, struct.pack(">II", 1, 0)),
    "offset beyond the end": (0x0110, 2, 100, None),
    "unknown type": (0x0110, 99, 1, b"1234"),
}


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def make_exif(entry, orientation=8):
    """EXIF of a wrong entry and an orientation, behind it where tags are in order."""
    entries, after = [(0x0112, 3, 1, struct.pack(">HH", orientation, 0)), entry], b""
    block = struct.pack(">2sHIH", b"MM", 42, 8, len(entries))
    for tag, kind, count, value in sorted(entries, key=lambda entry: entry[0]):
        place = 10 + 12 * len(entries) + 4 + len(after)
        if value is None:
            value = struct.pack(">I", 99999)
        elif len(value) > 4:
            after += value
            value = struct.pack(">I", place)
        block += struct.pack(">HHI4s", tag, kind, count, value)
    return block + bytes(4) + after


def insert_chunk(png, kind, content, place=33):
    chunk = struct.pack(">I", len(content)) + kind + content
    return png[:place] + chunk + struct.pack(">I", zlib.crc32(kind + content)) + png[place:]


@pytest.mark.parametrize("entry", WRONG_ENTRIES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_read_alone(entry, kind):
    exif = make_exif(WRONG_ENTRIES[entry])
    options = {"lossless": True} if kind == "WEBP" else {}
    source = encode(Image.fromarray(COFFEE), kind, exif=b"Exif\0\0" + exif, **options)
    plain = read_image(encode(Image.fromarray(COFFEE), kind, **options))
    with warnings.catch_warnings():
        # Pillow may say so; what it says must not end anything, also where warnings are errors.
        for action in ("ignore", "error"):
            warnings.simplefilter(action)
            np.testing.assert_array_equal(read_image(source), np.rot90(plain, 1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"nonsense", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x63", b"II*\0"])
def test_unreadable_orientation_counts_as_upright(kind, exif):
    options = {"lossless": True} if kind == "WEBP" else {}
    plain = encode(Image.fromarray(COFFEE), kind, **options)
    source = encode(Image.fromarray(COFFEE), kind, exif=exif, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(read_image(source), read_image(plain))


def test_damage_beside_the_pixels_of_a_png_does_not_matter():
    plain = encode(Image.fromarray(COFFEE), "PNG")
    long_text = zlib.compress(bytes(2 * PngImagePlugin.MAX_TEXT_CHUNK), 9)
    for place in (33, len(plain) - 12):
        for chunk in (
            (b"zTXt", b"Comment\0\0" + long_text),
            (b"iTXt", b"XML\0\1\0\0\0" + long_text),
            (b"tEXt", b"\xff" * 20),
            (b"eXIf", b"nonsense"),
            (b"acTL", b"\0"),
            (b"fcTL", bytes(26)),
            (b"iCCP", b"profile\0\0nonsense"),
            (b"pHYs", b"\0"),
            (b"gAMA", b""),
        ):
            source = insert_chunk(plain, *chunk, place)
            np.testing.assert_array_equal(read_image(source), COFFEE, err_msg=str(chunk[0]))
    wrong_sum = bytearray(insert_chunk(plain, b"tEXt", b"Comment\0text"))
    wrong_sum[50] ^= 255
    np.testing.assert_array_equal(read_image(bytes(wrong_sum)), COFFEE)


def test_png_with_a_wrong_checksum_of_its_pixels_is_refused():
    for mode in ("RGB", "L", "P"):
        source = bytearray(encode(Image.fromarray(COFFEE).convert(mode), "PNG"))
        source[len(source) // 2 :] = bytes(len(source) - len(source) // 2)
        with pytest.raises(ImageReadError):
            read_image(bytes(source))
    source = encode(Image.fromarray(COFFEE), "PNG")
    zeros = source[:-3000] + bytes(2984) + source[-16:]
    with pytest.raises(ImageReadError):
        read_image(zeros)
    assert "IEND" in find_damage(source[:-12])


JPEGS = {
    "usual": {},
    "best": {"quality": 98, "subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "gray": {"mode": "L"},
    "cmyk": {"mode": "CMYK"},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_cut_jpeg_with_an_end_is_refused(kind):
    options = dict(JPEGS[kind])
    picture = Image.fromarray(COFFEE).convert(options.pop("mode", "RGB"))
    source = encode(picture, "JPEG", **options)
    whole = read_image(source)
    assert find_damage(source) is None
    for share in (0.3, 0.5, 0.8):
        cut = source[: int(len(source) * share)]
        assert find_damage(cut + b"\xff\xd9") is not None
        if kind == "progressive" and share == 0.8:
            continue  # only the last bits of some coefficients are missing
        for damaged in (cut, cut + b"\xff\xd9", cut + bytes(len(source) - len(cut))):
            with pytest.raises(ImageReadError):
                read_image(damaged)
        with pytest.raises(ImageReadError), Image.open(io.BytesIO(cut + b"\xff\xd9")) as image:
            read_image(image)
    # Behind the end, anything may follow.
    np.testing.assert_array_equal(read_image(source + bytes(1000)), whole)
    assert find_damage(source[:-30] + b"\xff\xd9") is not None


def test_gray_pictures_are_not_taken_for_cut_ones():
    for mode in ("RGB", "L"):
        flat = Image.new("RGB", (64, 48), (128, 128, 128)).convert(mode)
        for options in ({}, {"progressive": True}, {"optimize": True}):
            source = encode(flat, "JPEG", **options)
            assert {*np.unique(read_image(source))} <= {127, 128, 129}
            assert find_damage(source) is None


def test_a_look_finds_zeros_and_flat_ends():
    for kind in ("BMP", "PPM", "TIFF", "WEBP"):
        source = encode(Image.fromarray(COFFEE), kind)
        assert find_damage(source) is None
        half = len(source) // 2
        assert "zeros" in find_damage(source[:half] + bytes(len(source) - half))
    grey_end = COFFEE.copy()
    grey_end[60:] = 128
    assert "36 of its 96 rows" in find_damage(encode(Image.fromarray(grey_end), "PNG"))
    grey_end[60:] = 255
    assert find_damage(encode(Image.fromarray(grey_end), "PNG")) is None


def test_a_look_takes_paths_and_names_no_file(tmp_path):
    path = tmp_path / "cut.png"
    path.write_bytes(encode(Image.fromarray(COFFEE), "PNG")[:2000])
    assert "cut.png" not in find_damage(path)
    assert find_damage(tmp_path / "absent.png") == "No such file."


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("mode", ["RGB", "L", "I;16"])
def test_tiff_with_fewer_strips_than_rows_is_refused(mode, compression):
    picture = Image.fromarray(COFFEE)
    if mode == "I;16":
        picture = Image.fromarray(COFFEE[..., 0].astype(np.uint16) * 257)
    picture = picture if mode == "I;16" else picture.convert(mode)
    options = {"compression": compression, "tiffinfo": {278: 16}}
    source = bytearray(encode(picture, "TIFF", **options))
    assert find_damage(bytes(source)) is None
    # ImageLength, be it written in 16 bits or 32.
    entries = [struct.pack("<HHIH", 257, kind, 1, len(COFFEE)) for kind in (3, 4)]
    (entry,) = (entry for entry in entries if entry in source)
    place = source.index(entry) + 8
    source[place : place + 2] = struct.pack("<H", 2000)
    with pytest.raises(ImageReadError):
        read_image(bytes(source))


@pytest.mark.parametrize(
    "header",
    [
        b"P6 99999999999 1 255\n",
        b"P5 2 x 255\n",
        b"P6 2 2 0\n",
        b"P6 2 2 70000\n",
        b"P6 -2 2 255\n",
    ],
)
def test_damaged_ppm_headers_name_the_file(header, tmp_path):
    path = tmp_path / "bad.ppm"
    path.write_bytes(header + bytes(100))
    with pytest.raises(ImageReadError, match=r"bad\.ppm"):
        read_image(path)


def test_warnings_as_errors_name_the_file_too(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.fromarray(COFFEE).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(ImageReadError, match=r"large\.png"):
        read_image(path)


@pytest.mark.parametrize("name", ["", "\0", "a" * 5000, "\ud800.png"])
def test_impossible_names(name):
    with pytest.raises(ImageReadError, match=r"no such file|missing"):
        read_image(name)


MISSING = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, ""]


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_missing_paths(missing, tmp_path):
    path = str(tmp_path / "coffee.png")
    Image.fromarray(COFFEE).save(path)
    batches = [[path, path, missing], pd.Series([path, path, missing], dtype=object)]
    batches.append(pd.DataFrame({"path": batches[1]}))
    for batch in batches:
        with pytest.raises(ImageReadError, match=r"row 2.*missing.*on_error"):
            ImageLoader(8).transform(batch)
        with pytest.warns(BadImageWarning, match=r"row 2.*missing"):
            images = ImageLoader(8, on_error="blank").transform(batch)
        assert images[1].any()
        assert not images[2].any()


def test_a_bad_array_names_its_row():
    good = [COFFEE] * 5
    for bad, message in (
        (np.full((4, 4), np.nan), "NaN"),
        (np.zeros((4, 4), int), "int64"),
        (np.zeros((4, 4, 7), np.uint8), "channels"),
        (np.zeros((0, 4), np.uint8), "at least one pixel"),
        (np.full((4, 4), 7.0), r"\[0, 1\]"),
    ):
        with pytest.raises(ImageReadError, match=rf"row 5.*{message}"):
            ImageLoader(8).transform([*good, bad])
        with pytest.warns(BadImageWarning, match="row 5"):
            ImageLoader(8, on_error="blank").transform([*good, bad])
        stream = Batched(make_pipeline(ImageLoader(16), HOG()), batch_size=2)
        with pytest.raises(ImageReadError, match="row 5"):
            stream.fit_transform([*good, bad])
    with pytest.raises(TypeError, match="row 5"):
        ImageLoader(8).transform([*good, 3])


def make_gif(width, height):
    """A transparent GIF of one coded pixel that claims a size."""
    size = struct.pack("<HH", width, height)
    return (
        b"GIF89a" + size + b"\x80\0\0" + bytes(6) + b"!\xf9\4\1\0\0\0\0"
        b"," + bytes(4) + b"\1\0\1\0\0\2\2L\1\0;"
    )


def test_a_bomb_takes_bounded_memory(tmp_path):
    side = 5000
    (tmp_path / "bomb.gif").write_bytes(make_gif(side, side))
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from imgfeat import ImageLoader, ImageReadError\n"
        "def peak():\n"
        "    status = Path('/proc/self/status')\n"  # Linux's ru_maxrss begins at the parent's.
        "    if status.exists():\n"
        "        return int(status.read_text().split('VmHWM:')[1].split()[0]) * 1024\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "loader = ImageLoader(8, on_error='blank')\n"
        "import cv2, numpy as np\n"
        "loader.transform([np.zeros((50, 50))])\n"
        "before = peak()\n"
        "loader.set_params(on_error='raise')\n"
        "print(loader.transform(sys.argv[1:]).mean())\n"
        "print(peak() - before)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "bomb.gif")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    mean, memory = result.stdout.split()
    assert float(mean) == 255
    # The picture is 3 bytes a pixel; Pillow's palette image is one more.
    assert int(memory) < 8 * side**2


def test_more_pixels_than_allowed_are_refused_before_they_are_decoded():
    with pytest.raises(ImageReadError, match="max_pixels"):
        read_image(make_gif(9459, 9459))


@pytest.mark.skipif(not ODD_FILES.is_dir(), reason="the shared data are not there")
def test_odd_files():
    good = {"valid_long_text.png", "i12.tif", "white016.tif", "f64.tif", "apng_actl.png"}
    good |= {"exif_structerror.png", "exif_structerror.webp"}
    for path in sorted(ODD_FILES.glob("*.[!m]*")):
        if path.name in good:
            pixels = read_image(path)
            assert 90 < pixels.mean() < 160
            assert pixels.max() > 240
        else:
            with pytest.raises(ImageReadError, match=path.name):
                read_image(path)
