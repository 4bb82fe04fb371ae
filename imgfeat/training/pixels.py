"""From uint8 images to the normalised pixels that a network takes, on any device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class PixelFormat:
    """The size, channels and normalisation that a network expects.

    Attributes
    ----------
    image_size : (int, int)
        Height and width of the network's input.
    mean, std : tuple of float
        One for each channel, of images in [0, 1].
    """

    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def convert(self, images: Tensor, augmentation: Callable[..., Any] | None = None) -> Tensor:
        """Return normalised pixels (n, c, h, w) of images (n, h, w, c), uint8.

        Images are augmented before they are enlarged, or after they are reduced: with fewer pixels
        it is faster.
        """
        pixels = images.permute(0, 3, 1, 2).float() / 255
        small = pixels.shape[2] * pixels.shape[3] <= self.image_size[0] * self.image_size[1]
        if augmentation is not None and small:
            pixels = augmentation(pixels, torch.default_generator)
        pixels = self._resize(pixels)
        if augmentation is not None and not small:
            pixels = augmentation(pixels, torch.default_generator)
        mean, std = (
            torch.tensor(values, device=pixels.device).reshape(1, -1, 1, 1)
            for values in (self.mean, self.std)
        )
        # A grey image becomes one of as many channels as there are means.
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)

    def find_augmented_shape(self, image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Return the shape (h, w, c) of the images that are augmented."""
        height, width, n_channels = image_shape
        if height * width <= self.image_size[0] * self.image_size[1]:
            return height, width, n_channels
        return (*self.image_size, n_channels)

    def _resize(self, pixels: Tensor) -> Tensor:
        if tuple(pixels.shape[2:]) == self.image_size:
            return pixels
        return torch.nn.functional.interpolate(
            pixels, size=self.image_size, mode="bilinear", antialias=True
        )
