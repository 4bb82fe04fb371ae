"""Decoding of image files and PIL images to upright uint8, in bounded memory."""

import importlib.util
import io
import re
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from imgfeat.images.formats import jpeg as _jpeg
from imgfeat.images.formats import png as _png
from imgfeat.images.formats import tiff as _tiff
from imgfeat.images.formats.exif import ORIENTATION, parse_orientation, read_orientation
from imgfeat.images.pixel_values import Color, Stored, ValueRange, scale_to_uint8

# Formats that Pillow decodes without running other programs, unlike EPS; MPO is read as JPEG.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM") + (
    ("AVIF",) if importlib.util.find_spec("PIL.AvifImagePlugin") else ()
)
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0")
JPEG_START = b"\xff\xd8"
ALPHA_MODES = ("RGBA", "LA", "PA", "RGBa", "La")
# Number of pixels converted at a time, which limits the memory for large images.
CHUNK = 2**20
# Memory limit of an image before it is scaled to uint8: four channels of 16 bits.
BYTES_PER_PIXEL = 8


class Reading(NamedTuple):
    """Parameters of `read_image`."""

    color: Color
    max_pixels: int
    value_range: ValueRange


class TooLargeError(ValueError):
    """An image has more pixels than `max_pixels` allows."""


def read_file(file: BinaryIO, reading: Reading) -> NDArray[np.uint8]:
    """Decode the first picture of a file.

    Parameters
    ----------
    file : binary file
    reading : Reading

    Returns
    -------
    pixels : ndarray of shape (h, w, 3) or (h, w), dtype uint8

    Raises
    ------
    Exception
        Of any class, if the file is damaged or not an image.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            return read_pillow(image, reading, file)
    except (TooLargeError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise
    except Exception as error:
        file.seek(0)
        start = file.read(len(_png.SIGNATURE))
        if not start:
            raise ValueError("it is empty") from error
        if start.startswith(TIFF_STARTS):
            try:
                return _read_tiff(file, _tiff.read_tags(file), reading)
            except Exception:
                if isinstance(error, UnidentifiedImageError):
                    raise
                raise error from None
        pixels = _read_without_metadata(file, start, reading)
        if pixels is None:
            raise
        return pixels


def read_pillow(
    image: Image.Image, reading: Reading, file: BinaryIO | None = None
) -> NDArray[np.uint8]:
    """Decode a PIL image, at full bit depth if the file it was opened from is given."""
    _check_size(image.width, image.height, reading.max_pixels)
    tags = image.tag_v2 if isinstance(image, _tiff.TiffImageFile) else None
    tiles = getattr(image, "tile", None)
    if tags is not None and _is_reduced(image, tags):
        try:
            if file is not None:
                return _read_tiff(file, tags, reading)
            raise ValueError(
                "Pillow reduces its pixels to 8 bits. Pass its path to scale the stored values"
            )
        except ValueError:
            # For example, colours other than RGB. A numeric range refers to stored values only.
            if reading.value_range != "dtype" and not isinstance(reading.value_range[0], str):
                raise
    # The file is only checked, since pixels must not depend on whether a PIL image was loaded.
    opened = _find_file(image) if file is None else file
    if opened is not None and tags is not None:
        _tiff.check_segments(tags)
    image.load()
    if opened is not None:
        _check_complete(image, opened)
    stored = None if file is None else _fetch_stored(image, file, tiles, reading.value_range)
    if stored is None:
        stored = _store(image, tags, reading.value_range)
    if stored is not None:
        pixels = scale_to_uint8(stored, reading.value_range, reading.color)
    else:
        pixels = _convert(image, reading.color)
    return turn(pixels, read_orientation(image))


def turn(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn pixels upright, given their EXIF orientation."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooLargeError(
            f"{width} x {height} pixels exceed max_pixels={max_pixels}. Increase it if you trust "
            "the file (and PIL.Image.MAX_IMAGE_PIXELS, above which Pillow warns or raises an error)"
        )
    if width * height < 1:
        raise ValueError(f"it has no pixels: {width} x {height}")


def _find_file(image: Image.Image) -> BinaryIO | None:
    """Return the file of a PIL image that is open but not yet loaded."""
    file = getattr(image, "fp", None)
    if file is None or not getattr(image, "tile", None) or image.tell() != 0:
        return None
    file.seek(0)
    return io.BytesIO(file.read())


def _is_reduced(image: Image.Image, tags: ImageFileDirectory_v2) -> bool:
    """Return whether Pillow reduces the pixels of a TIFF file to 8 bits."""
    if image.mode == "LA":  # Pillow mixes up its planes
        return True
    return image.mode not in ("L", "I", "F") and image.mode[:2] != "I;" and _tiff.is_deep(tags)


def _read_tiff(file: BinaryIO, tags: ImageFileDirectory_v2, reading: Reading) -> NDArray[np.uint8]:
    orientation = tags.get(ORIENTATION, 1)
    width, height = _tiff.get_size(tags)
    _check_size(width, height, reading.max_pixels)
    stored = _tiff.read_tiff(file, tags, BYTES_PER_PIXEL * reading.max_pixels)
    pixels = scale_to_uint8(stored, reading.value_range, reading.color)
    return turn(pixels, orientation if orientation in range(1, 9) else 1)


def _read_without_metadata(
    file: BinaryIO, start: bytes, reading: Reading
) -> NDArray[np.uint8] | None:
    """Read an intact picture without its damaged metadata or further frames; None if it fails."""
    if start == _png.SIGNATURE:
        strip = _png.strip
    elif start.startswith(JPEG_START):
        strip = _jpeg.strip
    else:
        return None
    file.seek(0)
    try:
        content, exif = strip(file.read())
        bare = io.BytesIO(content)
        with Image.open(bare, formats=FORMATS) as image:
            pixels = read_pillow(image, reading, bare)
    except Exception:  # the caller raises the first error
        return None
    return turn(pixels, parse_orientation(exif) or 1)


def _check_complete(image: Image.Image, file: BinaryIO) -> None:
    """Raise ValueError if the format of a decoded file shows that data are missing."""
    if image.format in ("JPEG", "MPO"):
        file.seek(0)
        _check_jpeg(image, file.read())
    elif image.format == "PNG":
        file.seek(0)
        if damage := _png.find_bad_pixels(file.read()):
            raise ValueError(damage)


def _fetch_stored(
    image: Image.Image, file: BinaryIO, tiles: list[Any] | None, value_range: ValueRange
) -> Stored | None:
    """Return the values that a file stores if Pillow changes them, else None."""
    if image.format == "PPM":
        return _store_ppm(image, file, tiles, value_range)
    if image.format == "PNG" and tiles and tiles[0].args in _png.DEEP_MODES:
        file.seek(0)
        return _store_deep_png(file.read())
    return None


def _check_jpeg(image: Image.Image, data: bytes) -> None:
    """Raise ValueError if data are missing in a decoded JPEG file."""
    damage = None
    # A complete file of one scan, the usual case, needs no check of its segments.
    if "progressive" in image.info or not data.endswith(_jpeg.ENDING):
        damage = _jpeg.find_missing_data(data)
    if damage is None:
        corner: Any = image.getpixel((image.width - 1, image.height - 1))
        values = corner if isinstance(corner, tuple) else (corner,)
        # Blocks without data are mid-grey, like few others.
        if all(value in (127, 128) for value in values) and _jpeg.is_cut_off(data, decode_bytes):
            damage = "the file is cut off: the lower part of the picture is missing"
    if damage is not None:
        raise ValueError(damage)


def decode_bytes(data: bytes) -> bytes | None:
    """Return the pixels of a file as decoded by Pillow, or None if it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            return image.tobytes()
    except Exception:  # decoders raise many classes
        return None


def _store_deep_png(data: bytes) -> Stored:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError("it is damaged")
    if pixels.shape[2] == 4:
        # One channel at a time, since such images are large.
        blue = pixels[..., 0].copy()
        pixels[..., 0] = pixels[..., 2]
        pixels[..., 2] = blue
        return Stored(pixels, alpha="unassociated")
    return Stored(pixels[..., ::-1])


def _store_ppm(
    image: Image.Image, file: BinaryIO, tiles: list[Any] | None, value_range: ValueRange
) -> Stored | None:
    """Return the values that a PGM or PPM file stores if Pillow scales them, else None."""
    if not tiles or image.mode not in ("L", "I", "RGB"):
        return None
    coder, _, offset, args = tiles[0]
    top = args[1] if isinstance(args, tuple) else 65535 if args == "I;16B" else 255
    if top == 255 or (top < 255 and value_range == "dtype"):
        return None
    shape = (image.height, image.width, 3)[: 3 if image.mode == "RGB" else 2]
    size = int(np.prod(shape))
    file.seek(offset)
    if coder == "ppm_plain":
        words = re.sub(rb"#[^\r\n]*", b"", file.read()).split()
        pixels = np.array(words[:size], dtype=int)
    else:
        dtype = np.dtype(">u2" if top > 255 else "u1")
        pixels = np.frombuffer(file.read(size * dtype.itemsize), dtype)
    pixels = np.minimum(pixels, top).astype(np.uint16).reshape(shape)
    return Stored(pixels, limits=(0.0, float(top)))


def _store(
    image: Image.Image, tags: ImageFileDirectory_v2 | None, value_range: ValueRange
) -> Stored | None:
    """Return the pixels of an image as decoded by Pillow, or None if they need no scaling."""
    deep = image.mode in ("I", "F") or image.mode.startswith("I;")
    if tags is not None and (deep or (image.mode == "L" and _tiff.is_deep(tags))):
        return _tiff.describe_pixels(np.asarray(image), tags)
    if not deep and value_range == "dtype":
        return None
    if not deep:
        alpha = "unassociated" if _is_transparent(image) else None
        mode = "RGBA" if alpha else "L" if image.mode in ("1", "L") else "RGB"
        return Stored(np.asarray(image if image.mode == mode else image.convert(mode)), alpha=alpha)
    pixels = np.asarray(image)
    if image.mode == "I" and pixels.min() >= 0 and pixels.max() <= 65535:
        pixels = pixels.astype(np.uint16)
    elif image.mode == "I" and value_range == "dtype":
        raise ValueError(
            f"int32 pixels from {pixels.min()} to {pixels.max()} have unknown values of black "
            "and white. Give them as ImageLoader(value_range=(low, high))"
        )
    return Stored(pixels)


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ALPHA_MODES or "transparency" in image.info


def _convert(image: Image.Image, color: Color) -> NDArray[np.uint8]:
    """Convert an 8-bit image to three channels or one."""
    width, height = image.size
    if width * height <= (CHUNK if _is_transparent(image) else 16 * CHUNK):
        return _convert_part(image, color)
    pixels = np.empty((height, width, 3) if color == "rgb" else (height, width), np.uint8)
    step = max(1, CHUNK // width)
    for top in range(0, height, step):
        part = image.crop((0, top, width, min(top + step, height)))
        pixels[top : top + step] = _convert_part(part, color)
    return pixels


def _convert_part(image: Image.Image, color: Color) -> NDArray[np.uint8]:
    if _is_transparent(image):
        # This rounds like check_images for arrays.
        upper = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", upper.size, "white")
        image.paste(upper, mask=upper)
    if color == "gray" and image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    mode = "L" if color == "gray" else "RGB"
    # Pillow copies the whole image even if the mode is the same.
    return np.asarray(image if image.mode == mode else image.convert(mode))
