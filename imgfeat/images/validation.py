"""Validation of the shape, dtype, range and channels of image arrays."""

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ImageShape = tuple[int, int] | tuple[int, int, int]

# Resizing in floating point can exceed [0, 1] by rounding errors.
RANGE_TOLERANCE = 1e-6

_FLOATS = {2: np.float32, 4: np.float32, 8: np.float64}
_ACCEPTED = "uint8 in 0..255 or float in [0, 1]"


def check_images(X: ArrayLike, *, image_shape: ImageShape | None = None) -> NDArray[Any]:
    """Validate a batch of images and return it as one four-dimensional array.

    Parameters
    ----------
    X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
        Images, c in {1, 3, 4}, RGB order; uint8, or floating point in [0, 1]. A flat array
        needs `image_shape`.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image of a flat array.

    Returns
    -------
    images : ndarray of shape (n, h, w, c), c in {1, 3}
        C-contiguous, read-only, of dtype uint8, float32 or float64, in native byte order. A view
        of `X` if `X` is in this format. The alpha channel of four-channel images is
        blended onto white, as ``skimage.color.rgba2rgb`` does.

    Raises
    ------
    TypeError
        If `X` holds no numbers but paths, bytes, PIL images or objects, or is a sparse matrix.
    ValueError
        If shape, dtype, range or channel count is not one of the above, or a value is NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.images.validation import check_images
    >>> check_images(np.zeros((5, 64), np.uint8), image_shape=(8, 8)).shape
    (5, 8, 8, 1)
    """
    array = _as_numeric_array(X)
    images = _to_four_dimensions(array, image_shape)
    images = _check_range(images)
    if images.shape[3] == 4:
        images = _blend_onto_white(images)
    images = np.ascontiguousarray(images).view(np.ndarray)
    # numba compiles anew for writeable arrays: one compiled version serves read-only input.
    images.flags.writeable = False
    return images


def check_one_image(image: ArrayLike) -> NDArray[Any]:
    """Validate one image, of shape (h, w) or (h, w, c), and return it as a batch of one."""
    pixels = np.asarray(image)
    if pixels.ndim not in (2, 3):
        raise ValueError(f"One image must have shape (h, w) or (h, w, c), got {pixels.shape}.")
    return check_images(pixels[np.newaxis, ..., np.newaxis] if pixels.ndim == 2 else pixels[None])


def to_gray(images: NDArray[Any]) -> NDArray[Any]:
    """Reduce checked images to one channel, by ITU-R 601 luma (as Pillow's mode "L").

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c), c in {1, 3}
        Result of `check_images`.

    Returns
    -------
    gray : ndarray of shape (n, h, w)
        Read-only, of the same dtype: uint8 images are rounded exactly as Pillow rounds them.
    """
    gray = images[..., 0] if images.shape[3] == 1 else _luma(images)
    gray.flags.writeable = False
    return gray


def _luma(images: NDArray[Any]) -> NDArray[Any]:
    red, green, blue = np.moveaxis(images, 3, 0)
    if images.dtype == np.uint8:
        luma = red * np.uint32(19595)
        luma += green * np.uint32(38470)
        luma += blue * np.uint32(7471)
        luma += np.uint32(0x8000)
        luma >>= np.uint32(16)
        return luma.astype(np.uint8)
    # Not a dot product, whose rounding may depend on the batch size.
    real = images.dtype.type
    return red * real(0.299) + green * real(0.587) + blue * real(0.114)


def to_uint8(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Return checked images as uint8, floating point scaled by 255 and rounded."""
    if images.dtype == np.uint8:
        return images
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


def _as_numeric_array(X: ArrayLike) -> NDArray[Any]:
    if hasattr(X, "toarray"):
        raise TypeError(f"Images must be dense, got a sparse {type(X).__name__}. Use X.toarray().")
    try:
        array = np.asarray(X)
    except ValueError as error:  # numpy refuses ragged sequences
        raise ValueError(
            "Images must all have one shape, got a ragged sequence. Make "
            "ImageLoader(size=...) the first step to resize them."
        ) from error
    if array.dtype.kind in "OSTU":
        raise TypeError(
            f"Images must be numbers, got {_describe_first_value(array)}. Paths, bytes, PIL images "
            "and arrays of several sizes are read by ImageLoader(size=...): make it the first step."
        )
    if array.dtype.kind == "f" and array.dtype.itemsize in _FLOATS:
        return array.astype(_FLOATS[array.dtype.itemsize], copy=False)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    if array.dtype != np.uint8:
        raise ValueError(f"Images must be {_ACCEPTED}, got dtype {array.dtype}. {_remedy(array)}")
    return array


def _describe_first_value(array: NDArray[Any]) -> str:
    if array.size == 0:
        return f"an empty array of dtype {array.dtype}"
    return f"values of type {type(array.reshape(-1)[0]).__name__}"


def _remedy(array: NDArray[Any]) -> str:
    if array.dtype == bool:
        return "Use X.astype(np.uint8) * 255."
    if array.dtype.names:
        return "Use numpy.lib.recfunctions.structured_to_unstructured(X)."
    if array.dtype == np.uint16:
        return "Use X / 65535."
    if array.dtype.kind == "c":
        return "Use np.abs(X), scaled to [0, 1]."
    if array.dtype.kind in "iu" and (
        array.size == 0 or (int(array.min()) >= 0 and int(array.max()) <= 255)
    ):
        return "Its values fit: use X.astype(np.uint8)."
    return "Scale it to [0, 1] as float, or to 0..255 as uint8."


def _to_four_dimensions(array: NDArray[Any], image_shape: ImageShape | None) -> NDArray[Any]:
    shape = None if image_shape is None else _check_image_shape(image_shape)
    if array.ndim == 2:
        if shape is None:
            raise ValueError(
                f"Images must have shape (n, h, w) or (n, h, w, c), got {array.shape}. For a "
                "table of flat images give image_shape=(h, w) or (h, w, c); for one grey image "
                "use X[np.newaxis]."
            )
        if array.shape[1] != math.prod(shape):
            raise ValueError(
                f"image_shape={image_shape} needs {math.prod(shape)} columns, got {array.shape[1]}."
            )
        images = array.reshape(len(array), *shape)
    elif array.ndim == 3:
        _warn_if_one_color_image(array.shape)
        images = array[..., np.newaxis]
    elif array.ndim == 4:
        images = array
    else:
        raise ValueError(
            f"Images must have shape (n, h, w) or (n, h, w, c), got {array.ndim} dimension(s): "
            f"{array.shape}."
        )
    if images.shape[3] not in (1, 3, 4):
        raise ValueError(
            f"Images must have 1, 3 or 4 channels, in the last dimension; got {images.shape[3]} "
            f"in shape {array.shape}."
            + (" Channels first? Use np.moveaxis(X, 1, -1)." if array.shape[1] in (1, 3, 4) else "")
        )
    if 0 in images.shape[1:3]:
        raise ValueError(f"Images must have at least one pixel, got shape {array.shape}.")
    if shape is not None and images.shape[1:] != shape:
        raise ValueError(f"image_shape={image_shape} does not match images of {images.shape[1:]}.")
    return images


def _warn_if_one_color_image(shape: tuple[int, ...]) -> None:
    n, height, width = shape
    if width in (3, 4) and height >= 16:
        warnings.warn(
            f"An array of shape {shape} is read as {n} grey images of {height} x {width} pixels. "
            "If it is one colour image, pass X[np.newaxis]; if not, pass X[..., np.newaxis].",
            UserWarning,
            stacklevel=5,
        )


def _check_image_shape(image_shape: ImageShape) -> tuple[int, int, int]:
    valid = (
        isinstance(image_shape, (tuple, list))
        and len(image_shape) in (2, 3)
        and all(isinstance(v, (int, np.integer)) and v > 0 for v in image_shape)
    )
    if not valid:
        raise ValueError(
            f"image_shape must be (h, w) or (h, w, c) in positive whole numbers, got "
            f"{image_shape!r}."
        )
    height, width, *channels = (int(v) for v in image_shape)
    return (height, width, channels[0] if channels else 1)


def _check_range(images: NDArray[Any]) -> NDArray[Any]:
    if images.dtype == np.uint8 or images.size == 0:
        return images
    low, high = images.min(), images.max()
    if np.isnan(low) or np.isnan(high):
        where = int(np.argwhere(np.isnan(images))[0][0])
        raise ValueError(f"Images must not contain NaN; image {where} does.")
    if low < -RANGE_TOLERANCE or high > 1 + RANGE_TOLERANCE:
        if low >= 0 and high <= 255:
            remedy = f"Divide by the largest possible value, such as X / {_guess_max_value(high)}."
        else:
            remedy = "Scale them, for example with (X - X.min()) / (X.max() - X.min())."
        raise ValueError(
            f"Floating-point images must lie in [0, 1], got values from {low:g} to {high:g}. "
            + remedy
        )
    return images


def _guess_max_value(high: float) -> int:
    return next(top for top in (16, 100, 255) if high <= top)


def _blend_onto_white(images: NDArray[Any]) -> NDArray[Any]:
    color, alpha = images[..., :3], images[..., 3:]
    if images.dtype == np.uint8:
        opaque = alpha.astype(np.uint16)
        blended = color * opaque + np.uint16(255) * (np.uint16(255) - opaque)
        return ((blended + np.uint16(127)) // np.uint16(255)).astype(np.uint8)
    one = images.dtype.type(1)
    return color * alpha + (one - alpha)
