"""One image from a path, bytes, a PIL image or an array: decoded, upright, uint8."""

import io
import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from imgfeat._images import check_images, check_one_image, to_gray, to_uint8

# What Pillow decodes by itself, without running other programs (as EPS would); MPO is JPEG to it.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
MAX_PIXELS = 89_478_485

Color = Literal["rgb", "gray"]


class ImageReadError(ValueError):
    """An image that cannot be read; the message names it and the cause."""


def read_image(source: Any, *, color: Color = "rgb", max_pixels: int = MAX_PIXELS) -> NDArray:
    """Decode one image to uint8, upright.

    Parameters
    ----------
    source : str, path-like, bytes, PIL image or ndarray
        What `ImageLoader` takes as one item.
    color : {"rgb", "gray"}, default="rgb"
        Three channels or none.
    max_pixels : int, default=89478485
        Larger images are refused.

    Returns
    -------
    pixels : ndarray of shape (h, w, 3) or (h, w), dtype uint8

    Raises
    ------
    ImageReadError
        If there is no such file, or it is no image, damaged, or too large.
    TypeError
        If `source` is none of the above.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.decoding import read_image
    >>> read_image(np.zeros((4, 6)), color="gray").shape
    (4, 6)
    """
    if isinstance(source, np.ndarray):
        return _array_to_uint8(source, color)
    if isinstance(source, Image.Image):
        return _read_pillow(source, name_source(source), color, max_pixels)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _read_file(io.BytesIO(source), name_source(source), color, max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return _read_file(Path(source), name_source(source), color, max_pixels)
    raise TypeError(
        f"An image must be a path, bytes, a PIL image or an array, got {type(source).__name__}."
    )


def check_sequence(X: Any, taker: str) -> None:
    """Raise TypeError for a single image or path, and for what has no length or no order."""
    if isinstance(X, (str, bytes, bytearray, os.PathLike, Image.Image)):
        raise TypeError(
            f"{taker} takes a sequence of images, got a single {type(X).__name__}. "
            "Put it into a list."
        )
    if isinstance(X, Mapping | Set) or hasattr(X, "toarray") or not hasattr(X, "__len__"):
        # An iterator is spent after `fit`, and a set has no order.
        raise TypeError(
            f"{taker} takes a sequence of images, got {type(X).__name__}. Put them into a list."
        )


def list_items(X: Any, taker: str) -> Any:
    """Return a batch of images as a sequence of what `read_image` takes.

    Parameters
    ----------
    X : sequence, array, pandas Series or one-column DataFrame of images
    taker : str
        Who asks, for the errors.

    Returns
    -------
    items : list, or ndarray of shape (n, h, w, c)

    Raises
    ------
    TypeError
        If `X` is a single image or path, or a table of several columns.
    """
    check_sequence(X, taker)
    if isinstance(X, np.ndarray) and X.dtype.kind not in "OSTU":
        return check_images(X)
    values = X.to_numpy() if hasattr(X, "to_numpy") else X
    if isinstance(values, np.ndarray):
        if values.ndim > 2 and values.dtype.kind not in "OSTU":
            return check_images(values)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise TypeError(
                f"{taker} takes one column of paths or images, got shape {values.shape}."
            )
        return list(values)
    return list(values)


def _array_to_uint8(array: NDArray, color: Color) -> NDArray:
    images = check_one_image(array)
    if color == "gray":
        return to_uint8(to_gray(images))[0]
    pixels = to_uint8(images)[0]
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def _read_file(file: Path | io.BytesIO, name: str, color: Color, max_pixels: int) -> NDArray:
    if isinstance(file, Path) and not file.is_file():
        cause = "it is a folder" if file.is_dir() else "no such file"
        raise ImageReadError(f"Cannot read image {name}: {cause}.")
    try:
        with Image.open(file, formats=FORMATS) as image:
            return _read_pillow(image, name, color, max_pixels)
    except UnidentifiedImageError as error:
        formats = ", ".join(FORMATS)
        raise ImageReadError(
            f"Cannot read image {name}: it is damaged or none of {formats}."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageReadError(f"Cannot read image {name}: {error}") from error
    except OSError as error:
        raise ImageReadError(f"Cannot read image {name}: {error}.") from error


def _read_pillow(image: Image.Image, name: str, color: Color, max_pixels: int) -> NDArray:
    if image.width * image.height > max_pixels:
        raise ImageReadError(
            f"Cannot read image {name}: {image.width} x {image.height} pixels exceed "
            f"max_pixels={max_pixels}. Raise it if you trust the file."
        )
    try:
        # Pillow copies the whole image both where it turns nothing and where it converts nothing.
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        upright = ImageOps.exif_transpose(image) if turned else image
        if upright.mode.startswith("I") or upright.mode == "F":
            return _array_to_uint8(_high_depth(upright), color)
        if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
            return _array_to_uint8(np.asarray(upright.convert("RGBA")), color)
        if color == "gray" and upright.mode not in ("1", "L", "RGB"):
            upright = upright.convert("RGB")
        upright.load()
        mode = "L" if color == "gray" else "RGB"
        return np.asarray(upright if upright.mode == mode else upright.convert(mode))
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        # Pillow's decoders raise all of these on damaged files.
        raise ImageReadError(f"Cannot read image {name}: {error}") from error


def _high_depth(image: Image.Image) -> NDArray:
    """Scale 16-bit and floating-point pixels to [0, 1]."""
    pixels = np.asarray(image)
    if image.mode == "F":
        return pixels
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError(f"32-bit pixels from {pixels.min()} to {pixels.max()} do not fit 16 bits.")
    return pixels / 65535


def name_source(source: Any) -> str:
    """Return what an error calls a source of an image."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"<{len(source)} bytes>"
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or "<PIL image>"
    if isinstance(source, np.ndarray):
        return f"<array of shape {source.shape}>"
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else repr(source)
