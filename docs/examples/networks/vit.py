"""A small vision transformer, as a plain module to be trained by CNNClassifier.

The image is cut into patches, each of which becomes a token, and a class token before them gathers
what the classifier needs: A. Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for
Image Recognition at Scale", ICLR 2021, arXiv:2010.11929. Normalisation comes before attention and
the multilayer perceptron, as there.

On scikit-learn's digits of 8 x 8 pixels::

    from imgfeat import CNNClassifier
    from vit import VisionTransformer

    network = VisionTransformer(image_size=(8, 8), patch_size=2, n_channels=1)
    classifier = CNNClassifier(network, unfreeze="all", lr=1e-3, head_lr=1e-3)
    classifier.fit(images, labels)
"""

import torch
from torch import Tensor, nn


class VisionTransformer(nn.Module):
    """Patches, a class token, positions, and blocks of attention and multilayer perceptron.

    Parameters
    ----------
    image_size : (int, int)
        Height and width of the images, multiples of `patch_size`.
    patch_size : int
    n_channels : int
    width : int, default=64
        Number of elements of a token.
    depth : int, default=4
        Number of blocks.
    n_heads : int, default=4
        Heads of attention; a divisor of `width`.
    dropout : float, default=0.1
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        patch_size: int,
        n_channels: int,
        width: int = 64,
        depth: int = 4,
        n_heads: int = 4,
        dropout: float = 0.1,
    ):
        super().__init__()
        n_patches = (image_size[0] // patch_size) * (image_size[1] // patch_size)
        self.embed = nn.Conv2d(n_channels, width, patch_size, stride=patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, n_patches + 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, n_heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the class token after the last block, of shape (n, width)."""
        patches = self.embed(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], dim=1)
        tokens = tokens + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens[:, 0])


class Block(nn.Module):
    """Attention between tokens, then a multilayer perceptron of each, with residual connections."""

    def __init__(self, width: int, n_heads: int, dropout: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, n_heads, dropout=dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens of the same shape."""
        normalised = self.norm1(tokens)
        attended, _ = self.attention(normalised, normalised, normalised, need_weights=False)
        tokens = tokens + attended
        return tokens + self.mlp(self.norm2(tokens))
