"""Image input: files, decoding, resizing, validation and data sets."""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.images.decoding import ImageReadError, read_image
    from imgfeat.images.loading import BadImageWarning, ImageLoader

__all__ = ["BadImageWarning", "ImageLoader", "ImageReadError", "read_image"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "BadImageWarning": ".loading",
        "ImageLoader": ".loading",
        "ImageReadError": ".decoding",
        "read_image": ".decoding",
    },
)
