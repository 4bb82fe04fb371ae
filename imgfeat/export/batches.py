"""Reading of images of any kind into the batches that a graph takes."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.images.decoding import list_items, read_image
from imgfeat.images.pixel_values import Color, ValueRange
from imgfeat.images.resizing import resize_image
from imgfeat.images.validation import check_images


def read_batches(X: Any, expected: dict[str, Any], batch_size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield images in batches as a graph takes them; of no images, one empty batch.

    Parameters
    ----------
    X : sequence or array of images
    expected : dict
        Entry "input" of the file's metadata: "shape" of an image, with None for height and width
        if the graph resizes, and "loader", the parameters of the pipeline's leading ImageLoader,
        or None.
    batch_size : int
        Images in a batch; images of several sizes are read one by one if the graph resizes.

    Raises
    ------
    ImageReadError
        If an image cannot be read.
    ValueError
        If the pipeline had no ImageLoader, and images are of another size than the graph takes.
    """
    shape, loader = tuple(expected["shape"]), expected["loader"]
    # Files of versions without this parameter do not name it.
    value_range: ValueRange = "dtype" if loader is None else loader.get("value_range", "dtype")
    ready = isinstance(X, np.ndarray) and X.dtype == np.uint8 and _fits(X.shape[1:], shape)
    ready = ready and value_range == "dtype"
    if not ready:
        X = _check(X, shape) if loader is None else list_items(X, "OnnxPipeline", value_range)
    if not ready and None in shape:  # images of several sizes make no batch
        batch_size = 1
    for start in range(0, max(len(X), 1), batch_size):
        part = X[start : start + batch_size]
        if ready or loader is None:
            yield np.ascontiguousarray(part)
        else:
            yield _read(part, start, shape, **loader)


def _fits(found: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    if None not in shape:
        return found == shape
    sides = zip(found, shape, strict=False)
    return len(found) == len(shape) and all(wanted in (None, side) for side, wanted in sides)


def _check(X: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    images = np.asarray(X) if len(shape) == 1 else check_images(X)
    wanted = (*shape, 1) if len(shape) == 2 else shape
    if images.shape[1:] != wanted or images.dtype != np.uint8:
        raise ValueError(
            f"The graph takes uint8 images of shape (n, {', '.join(map(str, shape))}), got "
            f"{images.dtype} of shape {images.shape}. Its pipeline had no ImageLoader, so "
            "images are not resized: pass images of that size."
        )
    return images.reshape(len(images), *shape)


def _read(
    items: Sequence[Any],
    first: int,
    shape: tuple[int, ...],
    color: Color,
    resize: str,
    max_pixels: int,
    value_range: ValueRange = "dtype",
) -> NDArray[np.uint8]:
    read = functools.partial(
        read_image, color=color, max_pixels=max_pixels, value_range=value_range
    )
    if None in shape and not len(items):
        return np.zeros((0, 1, 1, *shape[2:]), np.uint8)
    if None in shape:
        return np.stack([read(item, row=first + place) for place, item in enumerate(items)])
    images = np.zeros((len(items), *shape), np.uint8)
    for place, item in enumerate(items):
        pixels = read(item, row=first + place)
        images[place] = resize_image(pixels, (shape[0], shape[1]), resize)
    return images
