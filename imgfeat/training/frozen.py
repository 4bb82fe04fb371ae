"""Features of a frozen trunk, computed once and used in every epoch."""

from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from imgfeat.training.batches import BatchIterator, ImageSet


def compute_features(net: Any, dataset: ImageSet) -> ImageSet:
    """Return a data set whose inputs are the features of a net's trunk.

    The trunk must be frozen as a whole, and images not augmented: then the features are those that
    every epoch would compute.

    Parameters
    ----------
    net : FineTuningNet
    dataset : ImageSet
        Of images.

    Returns
    -------
    dataset : ImageSet
        With features of shape (n, d), dtype float32, as inputs.
    """
    net.module_.eval()
    features = np.empty((0, 0), np.float32)
    start = 0
    with tqdm(
        total=len(dataset), desc="features", unit="image", delay=2, leave=False, disable=None
    ) as progress:
        for images, _ in BatchIterator(dataset, net.batch_size):
            rows = net.compute_features(images)
            if start == 0:
                features = np.empty((len(dataset), rows.shape[1]), np.float32)
            features[start : start + len(rows)] = rows
            start += len(rows)
            progress.update(len(rows))
    return replace(dataset, inputs=features)
