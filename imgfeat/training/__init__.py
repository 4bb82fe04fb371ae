"""Training: fine-tuning of networks as a scikit-learn classifier, and augmentation of images."""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.training.augment import build_augmentation
    from imgfeat.training.classifier import CNNClassifier
    from imgfeat.training.history import plot_history
    from imgfeat.training.sampler import AugmentedSampler

__all__ = ["AugmentedSampler", "CNNClassifier", "build_augmentation", "plot_history"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "AugmentedSampler": ".sampler",
        "CNNClassifier": ".classifier",
        "build_augmentation": ".augment",
        "plot_history": ".history",
    },
)
