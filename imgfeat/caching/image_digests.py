"""Digests of images by all that determines their pixels."""

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from imgfeat.caching.content import CannotIdentifyError, digest_value, join_parts

# Tags of a TIFF file that determine the meaning of its values: bits, photometric interpretation,
# minimum and maximum, extra samples, sample format.
TIFF_TAGS = (258, 262, 280, 281, 338, 339, 340, 341)


def hash_samples(X: Any, *, by_name: bool = True) -> list[bytes | None]:
    """Return a digest of the content of each image.

    Parameters
    ----------
    X : sequence, array or frame of n images
        Input of ImageLoader or of an image transformer, or rows of a table. Paths are digested by
        the content of the files.
    by_name : bool, default=True
        Whether to include the names of files, on which steps other than ImageLoader may depend.

    Returns
    -------
    digests : list of n bytes or None
        16 bytes each; None for images that cannot be read or hashed.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.caching.image_digests import hash_samples
    >>> black, white = np.zeros((2, 2)), np.ones((2, 2))
    >>> first, second, third = hash_samples(np.stack([black, white, black]))
    >>> first == third, first == second
    (True, False)
    """
    values = X.to_numpy() if hasattr(X, "to_numpy") else X
    if hasattr(X, "columns") and values.shape[1] != 1:
        header = digest_value([[str(name) for name in X.columns], [str(d) for d in X.dtypes]])
        return [_hash_row(header, row) for row in values]
    if hasattr(X, "columns"):
        values = values[:, 0]
    return [_hash_sample(values[number], by_name) for number in range(len(values))]


def join_digests(digests: Sequence[bytes | None]) -> str:
    """Return one digest for a batch, from the digests of its images."""
    return join_parts("batch", *(b"?" if digest is None else digest for digest in digests)).hex()


def _hash_row(header: bytes, row: NDArray[Any]) -> bytes | None:
    if not row.dtype.hasobject:
        return join_parts("row", header, _hash_array(row))
    cells = [_hash_sample(cell, by_name=True) for cell in row]
    known = [cell for cell in cells if cell is not None]
    return join_parts("row", header, *known) if len(known) == len(cells) else None


def _hash_sample(sample: Any, by_name: bool) -> bytes | None:
    if isinstance(sample, bytes | bytearray | memoryview):
        return _hash_file(sample)
    if isinstance(sample, Image.Image):
        return _hash_picture(sample)
    try:
        if isinstance(sample, str | os.PathLike):
            if by_name:
                return digest_value(sample)
            with open(sample, "rb") as file:
                return _hash_file(file.read())
        array = sample if isinstance(sample, np.ndarray) else np.asarray(sample)
        return digest_value(sample) if array.dtype.hasobject else _hash_array(array)
    except (OSError, ValueError, CannotIdentifyError):
        return None


def _hash_file(content: bytes | bytearray | memoryview) -> bytes:
    digest = hashlib.blake2b(b"file", digest_size=16)
    digest.update(content)
    return digest.digest()


def _hash_array(array: NDArray[Any]) -> bytes:
    native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    digest = hashlib.blake2b(f"{native.dtype.descr} {array.shape}".encode(), digest_size=16)
    digest.update(native.reshape(-1).view(np.uint8).data)
    return digest.digest()


def _hash_picture(image: Image.Image) -> bytes | None:
    try:
        pixels = image.tobytes()
        # Conversions in Pillow write the transparency of an image into its palette.
        palette = image.getpalette("RGB" if "transparency" in image.info else None)
    except Exception:  # decoders raise many classes on damaged files
        return None
    tags = getattr(image, "tag_v2", {})
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # the EXIF block is damaged
        orientation = repr(image.info.get("exif"))
    settings = (
        image.mode,
        image.size,
        palette,
        image.palette.mode if image.palette is not None else None,
        image.info.get("transparency"),
        orientation if orientation != 0 else 1,
        [(tag, str(tags[tag])) for tag in TIFF_TAGS if tag in tags],
    )
    return join_parts("picture", digest_value(settings), pixels)
