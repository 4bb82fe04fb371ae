"""Features of a frozen trunk, computed once and used in every epoch."""

from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from imgfeat.training.batches import BatchIterator, ImageSet
from imgfeat.training.loop import autocast
from imgfeat.training.network import FineTunedNetwork
from imgfeat.training.pixels import PixelFormat


def compute_features(
    network: FineTunedNetwork,
    pixel_format: PixelFormat,
    batch_size: int,
    device: str,
    precision: str,
    dataset: ImageSet,
) -> ImageSet:
    """Return a data set with the features of a trunk in place of the images.

    If the trunk is frozen as a whole, and images are neither augmented nor mixed, every epoch would
    compute these features.

    Parameters
    ----------
    network : FineTunedNetwork
        On the device.
    pixel_format : PixelFormat
    batch_size : int
    device : str
    precision : {"fp32", "bf16", "fp16"}
    dataset : ImageSet
        Of images.

    Returns
    -------
    dataset : ImageSet
        With inputs of shape (n, d), dtype float32.
    """
    network.eval()
    rows = []
    with (
        tqdm(
            total=len(dataset), desc="features", unit="image", delay=2, leave=False, disable=None
        ) as progress,
        torch.inference_mode(),
        autocast(device, precision),
    ):
        for images, _ in BatchIterator(dataset, batch_size):
            pixels = pixel_format.convert(images.to(device))
            rows.append(network.compute_features(pixels).float().cpu().numpy())
            progress.update(len(images))
    return replace(dataset, inputs=np.concatenate(rows))
