"""Scaling of pixels of any depth to uint8, given which values become black and white."""

from collections.abc import Iterator
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgfeat.images.validation import RANGE_TOLERANCE, to_gray, to_uint8

ValueRange = Literal["dtype", "image"] | tuple[float, float] | tuple[str, str]
Color = Literal["rgb", "gray"]

# Number of values scaled in floating point at a time, which limits the memory for large images.
CHUNK = 2**20


class Stored(NamedTuple):
    """Pixels as a file stores them, with the file's information about their values.

    Attributes
    ----------
    pixels : ndarray of shape (h, w) or (h, w, c)
        Pixels of any real dtype; c includes the alpha channel, which is last.
    bits : int or None
        Bit depth, if it is less than that of the dtype.
    limits : (float, float) or None
        Values of black and white in the file's tags; ignored if pixels lie outside them.
    inverted : bool
        Whether low values are white.
    alpha : {"associated", "unassociated"} or None
        Kind of the alpha channel: whether or not colours are already multiplied by it.
    """

    pixels: NDArray[Any]
    bits: int | None = None
    limits: tuple[float, float] | None = None
    inverted: bool = False
    alpha: str | None = None


def check_value_range(value_range: object) -> None:
    """Raise ValueError unless `value_range` is one that ImageLoader describes."""
    if isinstance(value_range, str) and value_range in ("dtype", "image"):
        return
    if isinstance(value_range, (tuple, list)) and len(value_range) == 2:
        low, high = value_range
        if isinstance(low, str) and isinstance(high, str):
            low, high = _parse_percentage(low), _parse_percentage(high)
        elif any(isinstance(v, (bool, np.bool_)) or not isinstance(v, Real) for v in (low, high)):
            low = high = None
        if low is not None and high is not None and -np.inf < low < high < np.inf:
            return
    raise ValueError(
        "value_range must be 'dtype', 'image', a pair (low, high) of numbers, low < high, or a "
        f"pair of percentages such as ('1%', '99%'), got {value_range!r}."
    )


def scale_to_uint8(stored: Stored, value_range: ValueRange, color: Color) -> NDArray[np.uint8]:
    """Scale pixels so that black becomes 0 and white 255, and blend alpha onto white.

    Parameters
    ----------
    stored : Stored
    value_range : "dtype", "image", (low, high) or percentages
        See `ImageLoader`.
    color : {"rgb", "gray"}

    Returns
    -------
    pixels : ndarray of shape (h, w, 3) or (h, w), dtype uint8

    Raises
    ------
    ValueError
        If the values of black and white are unknown, or a value is NaN.
    """
    low, high = find_limits(stored, value_range)
    height, width = stored.pixels.shape[:2]
    if _has_few_values(stored) and (color == "rgb" or stored.pixels.ndim == 2):
        pixels = _look_up(stored, low, high)
        return np.dstack([pixels] * 3) if pixels.ndim == 2 and color == "rgb" else pixels
    result = np.empty((height, width, 3) if color == "rgb" else (height, width), np.uint8)
    for rows in _list_chunks(height, width):
        images = _scale(stored, rows, low, high)
        result[rows] = to_uint8(images if color == "rgb" else to_gray(images))[0]
    return result


def find_limits(stored: Stored, value_range: ValueRange) -> tuple[float, float]:
    """Return the values that become black and white, or white and black if inverted."""
    colors = _get_colors(stored)
    lowest, highest = _find_extremes(colors)
    if value_range == "dtype":
        return _find_limits_of_dtype(stored, lowest, highest)
    if value_range == "image":
        limits = lowest, highest
    elif isinstance(value_range[0], str):
        shares = [_parse_percentage(str(share)) or 0.0 for share in value_range]
        first, second = np.percentile(colors, shares)
        limits = float(first), float(second)
    else:
        return float(value_range[0]), float(value_range[1])
    if not np.isfinite(limits).all():
        raise ValueError(f"pixels from {limits[0]:g} to {limits[1]:g} cannot be scaled")
    return limits


def _find_limits_of_dtype(stored: Stored, lowest: float, highest: float) -> tuple[float, float]:
    dtype, limits = stored.pixels.dtype, stored.limits
    if dtype.kind == "f" and lowest >= -RANGE_TOLERANCE and highest <= 1 + RANGE_TOLERANCE:
        return 0.0, 1.0
    if limits is not None and limits[0] <= lowest <= highest <= limits[1] > limits[0]:
        return limits
    if dtype.kind == "u":
        return 0.0, float(2 ** _count_bits(stored) - 1)
    if dtype.kind == "i" and lowest >= 0:
        return 0.0, float(np.iinfo(dtype).max)
    raise ValueError(
        f"it is unknown which values of {dtype} pixels from {lowest:g} to {highest:g} are black "
        "and white. Give them as ImageLoader(value_range=(low, high)), or use each image's own "
        'range: value_range="image" or ("1%", "99%")'
    )


def _find_extremes(colors: NDArray[Any]) -> tuple[float, float]:
    lowest, highest = colors.min(), colors.max()
    if np.isnan(lowest) or np.isnan(highest):
        raise ValueError("Images must not contain NaN. Replace such pixels first")
    return float(lowest), float(highest)


def _get_colors(stored: Stored) -> NDArray[Any]:
    return stored.pixels if stored.alpha is None else stored.pixels[..., :-1]


def _scale(stored: Stored, rows: slice, low: float, high: float) -> NDArray[Any]:
    """Return some rows, scaled, in the format of `check_images`: (1, h, w, c) in [0, 1]."""
    colors = _get_colors(stored)[rows].astype(np.float64)
    colors = np.clip((colors - low) / (high - low if high > low else 1.0), 0, 1)
    if stored.inverted:
        colors = 1 - colors
    if colors.ndim == 2:
        colors = colors[..., np.newaxis]
    if stored.alpha is not None:
        alpha = stored.pixels[rows][..., -1:].astype(np.float64)
        alpha = np.clip(alpha / _find_opaque_value(stored), 0, 1)
        shade = colors if stored.alpha == "associated" else colors * alpha
        colors = np.clip(shade + (1 - alpha), 0, 1)
    return colors[np.newaxis]


def _has_few_values(stored: Stored) -> bool:
    """Return whether the dtype has fewer values than there are pixels."""
    dtype = stored.pixels.dtype
    few = dtype.kind in "ui" and dtype.itemsize <= 2
    return few and stored.alpha is None and stored.pixels.size > 2 ** (8 * dtype.itemsize)


def _look_up(stored: Stored, low: float, high: float) -> NDArray[np.uint8]:
    """Scale pixels by a table of all values of the dtype."""
    dtype = stored.pixels.dtype
    index = np.dtype(f"u{dtype.itemsize}")
    values = np.arange(2 ** (8 * dtype.itemsize), dtype=index).view(dtype)
    scaled = _scale(stored._replace(pixels=values[np.newaxis]), slice(None), low, high)
    return to_uint8(scaled).ravel()[stored.pixels.astype(dtype, copy=False).view(index)]


def _find_opaque_value(stored: Stored) -> float:
    dtype = stored.pixels.dtype
    if dtype.kind == "f":
        return 1.0
    return float(np.iinfo(dtype).max if dtype.kind == "i" else 2 ** _count_bits(stored) - 1)


def _count_bits(stored: Stored) -> int:
    return stored.bits or stored.pixels.dtype.itemsize * 8


def _list_chunks(height: int, width: int) -> Iterator[slice]:
    step = max(1, CHUNK // max(1, width))
    for start in range(0, height, step):
        yield slice(start, start + step)


def _parse_percentage(text: str) -> float | None:
    number, sign, rest = text.strip().partition("%")
    try:
        share = float(number)
    except ValueError:
        return None
    return share if sign and not rest and 0 <= share <= 100 else None
