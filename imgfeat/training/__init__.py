"""Training: augmentation of images, and a sampler that adds augmented copies to training images."""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.training.augment import build_augmentation
    from imgfeat.training.sampler import AugmentedSampler

__all__ = ["AugmentedSampler", "build_augmentation"]

__getattr__, __dir__ = attach(
    __name__, {"AugmentedSampler": ".sampler", "build_augmentation": ".augment"}
)
