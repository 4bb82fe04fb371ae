"""Types of what images are read from: one image, and a batch of them."""

import os
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# None, NaN and an empty string are missing images.
ImageSource = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Image.Image | NDArray[Any]
    | float | np.floating[Any] | None
)  # fmt: skip


class ImageBatch(Protocol):
    """A batch of images: a list, an array, a Series or a frame of one column.

    An object that creates its images on access needs no more than these two methods.
    """

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Return one image by its position."""
        ...
