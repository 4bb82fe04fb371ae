"""Images with their targets, and the batches of an epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

Batch = tuple[Tensor, tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class ImageSet(Dataset):
    """Inputs of a network, with targets and weights.

    Attributes
    ----------
    inputs : ndarray of shape (n, h, w, c), dtype uint8, or (n, d), dtype float32
        Images, or the features of a frozen trunk.
    targets : ndarray of shape (n,), dtype int64, or (n, n_labels), dtype float32
        Codes of classes, or an indicator matrix.
    weights : ndarray of shape (n,), dtype float32
    """

    inputs: NDArray[np.uint8] | NDArray[np.float32]
    targets: NDArray[np.int64] | NDArray[np.float32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: NDArray[np.intp]) -> Batch:
        inputs, targets, weights = (
            torch.from_numpy(values[rows]) for values in (self.inputs, self.targets, self.weights)
        )
        return inputs, (targets, weights)


class BatchIterator:
    """The batches of an epoch, of sizes that differ by at most one.

    There is no last batch of one image, on which batch normalisation fails.

    Parameters
    ----------
    dataset : ImageSet
    batch_size : int
        Maximum number of images in a batch.
    shuffle : bool, default=False
    balanced : bool, default=False
        Whether to draw the images with replacement, each class with the same probability.
    """

    def __init__(
        self, dataset: ImageSet, batch_size: int, shuffle: bool = False, balanced: bool = False
    ):
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.balanced = balanced

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for rows in np.array_split(self._order(), len(self)):
            yield self.dataset[rows]

    def _order(self) -> NDArray[np.intp]:
        n = len(self.dataset)
        if self.balanced:
            counts = np.bincount(self.dataset.targets)
            shares = torch.from_numpy(1 / counts[self.dataset.targets])
            return torch.multinomial(shares, n, replacement=True).numpy()
        return torch.randperm(n).numpy() if self.shuffle else np.arange(n)
