"""Fine-tuning of networks as a scikit-learn classifier."""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.training.classifier import CNNClassifier
    from imgfeat.training.history import plot_history

__all__ = ["CNNClassifier", "plot_history"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "CNNClassifier": ".classifier",
        "plot_history": ".history",
    },
)
