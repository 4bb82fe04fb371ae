"""Probabilities of images from a fitted network."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from imgfeat.backbones.settings import choose_torch_device
from imgfeat.training.loop import autocast
from imgfeat.training.pixels import PixelFormat

if TYPE_CHECKING:
    from imgfeat.training.classifier import CNNClassifier

# A single image costs as much as a whole batch: on a CPU, larger batches are hardly faster.
IMAGES_AT_ONCE = 4


def predict_probabilities(
    classifier: "CNNClassifier", images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return the probabilities (n, n_outputs) of images (n, h, w, c).

    All batches have one size, to which the last one is padded: with the same shapes, kernels give
    an image the same result in any batch.
    """
    device, precision = choose_torch_device(classifier.device, classifier.precision)
    network = classifier.module_.to(device).eval()
    pixel_format = PixelFormat(classifier.image_size_, classifier.mean_, classifier.std_)
    size = min(classifier.batch_size, IMAGES_AT_ONCE) if device == "cpu" else classifier.batch_size
    probabilities = np.empty((len(images), len(classifier.classes_)), np.float32)
    with (
        tqdm(
            total=len(images), desc="predicting", unit="image", delay=2, leave=False, disable=None
        ) as progress,
        torch.inference_mode(),
        autocast(device, precision),
    ):
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            padded = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
            logits = network(pixel_format.convert(torch.from_numpy(padded).to(device))).float()
            rows = compute_probabilities(logits[: len(batch)], classifier)
            probabilities[start : start + len(batch)] = rows.cpu().numpy()
            progress.update(len(batch))
    return probabilities


def compute_probabilities(logits: Tensor, classifier: "CNNClassifier") -> Tensor:
    """Return probabilities: of labels, of classes, or of one class against the rest over its sum.

    Parameters
    ----------
    logits : Tensor of shape (n, n_outputs)
    classifier : CNNClassifier
    """
    if classifier.classes_.ndim == 2:
        return logits.sigmoid()
    if classifier.loss == "bce":
        shares = logits.sigmoid()
        return shares / shares.sum(dim=1, keepdim=True)
    return logits.softmax(dim=1)
