"""A small convolutional network for images of about 28 x 28 pixels, trained from scratch."""

import torch
from torch import Tensor, nn

NAME = "small_cnn"
WIDTHS = (32, 64, 128)


class SmallCNN(nn.Module):
    """Three stages of two 3 x 3 convolutions each, with batch normalisation and ReLU.

    Maximum pooling halves the sides between the stages, rounding up, so that images of any size are
    accepted; the output is the mean of each channel of the last stage.

    Parameters
    ----------
    n_channels : int
        1 for grey images, 3 for RGB.

    Examples
    --------
    >>> import torch
    >>> from imgfeat.training.small_cnn import SmallCNN
    >>> SmallCNN(n_channels=1)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 128])
    """

    def __init__(self, n_channels: int):
        super().__init__()
        inputs = (n_channels, *WIDTHS[:-1])
        self.stages = nn.Sequential(
            *(Stage(*widths) for widths in zip(inputs, WIDTHS, strict=True))
        )
        self.reduce = nn.MaxPool2d(2, ceil_mode=True)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features (n, 128) of normalised images (n, c, h, w)."""
        for index, stage in enumerate(self.stages):
            pixels = stage(pixels if index == 0 else self.reduce(pixels))
        return torch.mean(pixels, dim=(2, 3))


class Stage(nn.Module):
    """Two convolutions, each with batch normalisation and ReLU."""

    def __init__(self, n_inputs: int, n_outputs: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_inputs, n_outputs, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_outputs)
        self.conv2 = nn.Conv2d(n_outputs, n_outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same height and width."""
        maps = torch.relu(self.bn1(self.conv1(maps)))
        return torch.relu(self.bn2(self.conv2(maps)))
