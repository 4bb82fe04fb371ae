"""A capsule network for small images, as a plain module to be trained by CNNClassifier.

Capsules are vectors whose length is the probability that something is there and whose direction is
its pose. The capsules of one layer predict those of the next, and routing by agreement sends each
prediction to where the others point as well: S. Sabour, N. Frosst and G. Hinton, "Dynamic Routing
Between Capsules", NeurIPS 2017, arXiv:1710.09829.

On scikit-learn's digits of 8 x 8 pixels::

    from imgfeat import CNNClassifier
    from capsules import CapsuleNetwork

    network = CapsuleNetwork(image_size=(8, 8), n_channels=1, n_classes=10)
    classifier = CNNClassifier(network, unfreeze="all", lr=3e-3, dropout=0.0)
    classifier.fit(images, labels)
"""

import torch
from torch import Tensor, nn


class CapsuleNetwork(nn.Module):
    """Convolution, primary capsules, and one class capsule for each class.

    Parameters
    ----------
    image_size : (int, int)
        Height and width of the images, at least 5 x 5.
    n_channels : int
    n_classes : int
    width : int, default=64
        Channels of the convolution.
    n_maps : int, default=8
        Primary capsules at each place.
    length, class_length : int, default=8 and 16
        Number of elements of a primary capsule and of a class capsule.
    n_iterations : int, default=3
        Iterations of routing.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        n_channels: int,
        n_classes: int,
        width: int = 64,
        n_maps: int = 8,
        length: int = 8,
        class_length: int = 16,
        n_iterations: int = 3,
    ):
        super().__init__()
        self.length = length
        self.n_iterations = n_iterations
        self.conv = nn.Conv2d(n_channels, width, 3)
        self.primary = nn.Conv2d(width, n_maps * length, 3, stride=2)
        rows, columns = ((side - 2 - 3) // 2 + 1 for side in image_size)
        n_primary = n_maps * rows * columns
        # A matrix for each pair of a primary and a class capsule predicts the pose of the second.
        self.transforms = nn.Parameter(
            torch.randn(n_primary, n_classes, class_length, length) * 0.1
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the lengths of the class capsules, of shape (n, n_classes)."""
        maps = self.primary(torch.relu(self.conv(pixels)))
        n, _, rows, columns = maps.shape
        capsules = maps.reshape(n, -1, self.length, rows, columns).movedim(2, -1)
        capsules = squash(capsules.reshape(n, -1, self.length))
        predictions = torch.einsum("pkij,npj->npki", self.transforms, capsules)
        return route(predictions, self.n_iterations).norm(dim=-1)


def squash(vectors: Tensor) -> Tensor:
    """Shrink vectors to a length below 1, and keep their directions."""
    squared = vectors.square().sum(dim=-1, keepdim=True)
    return vectors * (squared / (1 + squared)) / torch.sqrt(squared + 1e-8)


def route(predictions: Tensor, n_iterations: int) -> Tensor:
    """Combine predictions (n, n_primary, n_classes, length) into capsules (n, n_classes, length).

    In each iteration, a prediction counts more where it agrees with the capsule.
    """
    agreement = torch.zeros_like(predictions[..., 0])
    capsules = predictions[:, 0]
    for _ in range(n_iterations):
        shares = agreement.softmax(dim=2)
        capsules = squash((shares.unsqueeze(-1) * predictions).sum(dim=1))
        agreement = agreement + torch.einsum("npki,nki->npk", predictions, capsules)
    return capsules
