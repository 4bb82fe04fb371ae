"""Decoding of one image from a path, bytes, a PIL image or an array to upright uint8."""

import io
import os
from collections.abc import Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from imgfeat.images.formats import jpeg as _jpeg
from imgfeat.images.formats import png as _png
from imgfeat.images.formats.decoders import (
    FORMATS,
    JPEG_START,
    Reading,
    decode_bytes,
    read_file,
    read_pillow,
)
from imgfeat.images.pixel_values import (
    Color,
    Stored,
    ValueRange,
    check_value_range,
    find_limits,
    scale_to_uint8,
)
from imgfeat.images.sources import ImageBatch, ImageSource
from imgfeat.images.validation import check_images, check_one_image, to_gray, to_uint8

# 67 million: enough for 61-megapixel cameras, while decoding any file takes at most 500 MB (1.3 GB
# for WebP and channels of 16 bits), whatever size its header claims.
MAX_PIXELS = 2**26


class ImageReadError(ValueError):
    """An image cannot be read; the message names the image and the cause.

    Parameters
    ----------
    message : str
    cause : str, default=None
        The cause of the error, without the name of the image.
    row : int, default=None
        Position in the batch of an image that has no name of its own.
    """

    def __init__(self, message: str, cause: str | None = None, row: int | None = None):
        super().__init__(message)
        self.cause = message if cause is None else cause
        self.row = row

    def move_to_row(self, row: int) -> "ImageReadError":
        """Return the same error with another row number, that in a larger batch."""
        message = str(self).replace(f"(row {self.row})", f"(row {row})", 1)
        return ImageReadError(message, self.cause, row)


def read_image(
    source: ImageSource,
    *,
    color: Color = "rgb",
    max_pixels: int = MAX_PIXELS,
    value_range: ValueRange = "dtype",
    row: int | None = None,
) -> NDArray[Any]:
    """Decode one image to uint8, upright.

    Parameters
    ----------
    source : str, path-like, bytes, PIL image or ndarray
        One image, of any kind that `ImageLoader` takes.
    color : {"rgb", "gray"}, default="rgb"
        Whether the result has three channels or is of shape (h, w).
    max_pixels : int, default=67108864
        Larger images are refused.
    value_range : "dtype", "image", (low, high) or percentages, default="dtype"
        Which values become black and white; see `ImageLoader`.
    row : int, default=None
        Position in a batch, for error messages.

    Returns
    -------
    pixels : ndarray of shape (h, w, 3) or (h, w), dtype uint8

    Raises
    ------
    ImageReadError
        If the source is missing (None, NaN, an empty name), the file does not exist, is not an
        image, is damaged or too large, or an array is not an image.
    TypeError
        If `source` is none of the above.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.images import read_image
    >>> read_image(np.zeros((4, 6)), color="gray").shape
    (4, 6)
    """
    if value_range != "dtype":
        check_value_range(value_range)
    try:
        if isinstance(source, np.ndarray):
            return _read_array(source, color, value_range)
        reading = Reading(color, max_pixels, value_range)
        if isinstance(source, Image.Image):
            return read_pillow(source, reading)
        if isinstance(source, (bytes, bytearray, memoryview)):
            return read_file(io.BytesIO(source), reading)
        if isinstance(source, (str, os.PathLike)) and os.fspath(source):
            with _open(source) as file:
                return read_file(file, reading)
        if _is_missing(source):
            raise ValueError(
                f"the value is missing ({source!r}). Leave such rows out, together with their "
                'labels, or have ImageLoader(on_error="blank") put a black image there'
            )
    except Exception as error:  # decoders raise many classes on damaged files
        has_name = isinstance(source, (str, os.PathLike)) and str(source) != ""
        row = None if has_name else row
        place = "" if row is None else f" (row {row})"
        cause = _describe_cause(error)
        message = f"Cannot read image {name_source(source)}{place}: {cause}"
        raise ImageReadError(message, cause, row) from error
    raise TypeError(
        f"An image must be a path, bytes, a PIL image or an array, got {type(source).__name__}"
        + ("." if row is None else f" in row {row}.")
    )


def find_damage(source: str | os.PathLike[str] | bytes) -> str | None:
    """Check an image file for damage more closely than `read_image` does.

    `read_image` raises an error only for violations of the file's format. This function also
    decodes JPEG files a second time to detect truncated data, and looks in the pixels for signs of
    an incompletely written file, which some intact pictures show as well.

    Parameters
    ----------
    source : str, path-like or bytes
        A file.

    Returns
    -------
    damage : str or None
        A sentence that describes the damage, without the name of the file.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from skimage.data import coffee
    >>> from imgfeat.images.decoding import find_damage
    >>> file = io.BytesIO()
    >>> Image.fromarray(coffee()).save(file, "BMP")
    >>> content = file.getvalue()
    >>> find_damage(content)
    >>> find_damage(content[:500_000] + bytes(len(content) - 500_000))
    'The last 220,054 of its 720,054 bytes are zeros, as in a file that was not written to its end.'
    """
    try:
        pixels = read_image(source)
    except ImageReadError as error:
        return error.cause[:1].upper() + error.cause[1:]
    data = Path(source).read_bytes() if isinstance(source, (str, os.PathLike)) else bytes(source)
    if data.startswith(JPEG_START) and _jpeg.is_cut_off(data, decode_bytes):
        return "Its compressed data end before the end of the picture."
    if data.startswith(_png.SIGNATURE) and (damage := _png.find_missing_end(data)):
        return damage
    n_zeros = len(data) - len(data.rstrip(b"\0"))
    if n_zeros >= max(64, len(data) // 50):
        return (
            f"The last {n_zeros:,} of its {len(data):,} bytes are zeros, as in a file that was not "
            "written to its end."
        )
    if 0 < pixels.max() <= 16:
        return (
            f"Its brightest pixel is {pixels.max()} of 255, so it is nearly black. If it stores "
            "fewer bits than it claims, ImageLoader(value_range=...) brightens it."
        )
    return _find_flat_end(pixels)


def check_sequence(X: object, taker: str) -> None:
    """Raise TypeError for a single image or path, and for input without length or order."""
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


def list_items(
    X: ImageBatch, taker: str, value_range: ValueRange = "dtype"
) -> list[ImageSource] | NDArray[Any]:
    """Return a batch of images as a sequence of what `read_image` takes.

    Parameters
    ----------
    X : sequence, array, pandas Series or one-column DataFrame of images
    taker : str
        Name of the caller, for error messages.
    value_range : "dtype", "image", (low, high) or percentages, default="dtype"
        With any other than "dtype", arrays may be of any real dtype and range.

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
        return _check_array(X, value_range)
    values: Any = X.to_numpy() if hasattr(X, "to_numpy") else X
    if isinstance(values, np.ndarray):
        if values.ndim > 2 and values.dtype.kind not in "OSTU":
            return _check_array(values, value_range)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise TypeError(
                f"{taker} takes one column of paths or images, got shape {values.shape}."
            )
    return list(values)


def name_source(source: ImageSource) -> str:
    """Return the name of an image source in error messages."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"<{len(source)} bytes>"
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or "<PIL image>"
    if isinstance(source, np.ndarray):
        return f"<array of shape {source.shape}>"
    return str(source) if isinstance(source, (str, os.PathLike)) and source else repr(source)


def _is_missing(source: object) -> bool:
    if source is None or isinstance(source, (float, np.floating)):
        return source is None or bool(np.isnan(source))
    # pandas may not be installed where exported models run.
    return type(source).__name__ in ("NAType", "NaTType") or isinstance(source, str)


def _describe_cause(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"it is damaged or none of {', '.join(FORMATS)}."
    text = str(error) or type(error).__name__
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        text = error.strerror  # the message already names the file
    if error.args and isinstance(error.args[0], bytes):  # Pillow's PPM decoder
        text = error.args[0].decode("latin-1")
    if not isinstance(error, (ValueError, OSError, SyntaxError, Warning, MemoryError)):
        text = f"it is damaged ({type(error).__name__}: {text})"
    return text if text.endswith((".", "!")) else text + "."


def _open(source: str | os.PathLike[str]) -> BinaryIO:
    if os.path.isfile(source):
        return open(source, "rb")
    raise ValueError("it is a folder" if os.path.isdir(source) else "no such file")


def _check_array(X: NDArray[Any], value_range: ValueRange) -> NDArray[Any]:
    if value_range == "dtype":
        return check_images(X)
    if X.ndim not in (3, 4):
        raise ValueError(f"Images must have shape (n, h, w) or (n, h, w, c), got {X.shape}.")
    return X


def _read_array(array: NDArray[Any], color: Color, value_range: ValueRange) -> NDArray[Any]:
    if value_range != "dtype":
        return scale_to_uint8(_store_array(array), value_range, color)
    try:
        images = check_one_image(array)
    except ValueError as error:
        cause = str(error).replace("; image 0 does", "")
        with suppress(ValueError):
            find_limits(_store_array(array), "image")
            cause += " ImageLoader(value_range=(low, high)) scales it too."
        raise ValueError(cause) from error
    return _blend(images, color)


def _blend(images: NDArray[Any], color: Color) -> NDArray[Any]:
    """Return the image of a batch of one, in colour or grey."""
    if color == "gray":
        return to_uint8(to_gray(images))[0]
    pixels = to_uint8(images)[0]
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def _store_array(array: NDArray[Any]) -> Stored:
    if array.dtype.kind not in "uifb":
        raise ValueError(f"Images must be real numbers, got dtype {array.dtype}.")
    n_channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or n_channels not in (1, 3, 4) or array.size == 0:
        raise ValueError(
            "One image must have shape (h, w) or (h, w, c), c in {1, 3, 4}, and at least one "
            f"pixel, got {array.shape}."
        )
    pixels = array.astype(np.uint8) if array.dtype == bool else array
    if array.ndim == 3 and n_channels == 1:
        pixels = pixels[..., 0]
    return Stored(pixels, alpha="unassociated" if n_channels == 4 else None)


def _find_flat_end(pixels: NDArray[np.uint8]) -> str | None:
    """Describe lower rows that are all of one colour other than white, if there are many."""
    rows = pixels.reshape(len(pixels), -1)
    last = pixels[-1, -1]
    flat = (pixels == last).reshape(rows.shape).all(axis=1)
    n_flat = len(flat) if flat.all() else int(np.argmin(flat[::-1]))
    if n_flat == len(flat) or n_flat < max(8, len(flat) // 5) or last.min() >= 250:
        return None
    return (
        f"The lower {n_flat} of its {len(flat)} rows are of one colour, "
        f"RGB({', '.join(map(str, last))}), as in a file that was not written to its end."
    )
