"""A backbone without its classifier, dropout, and a new linear classifier."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from imgfeat.backbones.backbone import Backbone, load_backbone
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.state_dicts import load_weights
from imgfeat.training import small_cnn

Initialization = Literal["he", "xavier"]


class FineTunedNetwork(nn.Module):
    """A network from normalised pixels (n, c, h, w) to logits (n, n_outputs).

    Frozen modules have no gradients and stay in evaluation mode: batch normalisation keeps its
    statistics, dropout and stochastic depth are off.

    Parameters
    ----------
    trunk : torch.nn.Module
        Its output has the shape (n, d), (n, d, h, w) or (n, tokens, d); a map or a sequence is
        averaged.
    n_features : int
        Number d of features.
    n_outputs : int
        Number of classes or labels.
    dropout : float
        Probability with which a feature is dropped in training.
    """

    def __init__(self, trunk: nn.Module, n_features: int, n_outputs: int, dropout: float):
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(n_features, n_outputs)
        self.frozen: frozenset[str] = frozenset()

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits."""
        return self.classify(self.compute_features(pixels))

    def compute_features(self, pixels: Tensor) -> Tensor:
        """Return the input of dropout and classifier, of shape (n, d)."""
        return pool_output(self.trunk(pixels))

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits of features."""
        return self.classifier(self.dropout(features))

    def freeze(self, names: Iterable[str]) -> None:
        """Freeze modules of the trunk, named as in ``trunk.named_modules()``, and no others."""
        self.frozen = frozenset(names)
        for name, module in self.trunk.named_modules():
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(name not in self.frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules that are not frozen."""
        super().train(mode)
        for name, module in self.trunk.named_modules():
            if name in self.frozen:
                module.training = False
        return self


def pool_output(output: Tensor) -> Tensor:
    """Return the features (n, d) of a trunk's output."""
    if output.ndim == 4:
        return output.mean(dim=(2, 3))
    if output.ndim == 3:
        return output.mean(dim=1)
    return output


def load_trunk(
    backbone: Any,
    weights: str | os.PathLike | None,
    image_size: tuple[int, int] | None,
    image_shape: tuple[int, int, int],
) -> Backbone:
    """Load a backbone, and remove its classifier.

    Parameters
    ----------
    backbone : str or torch.nn.Module
        "small_cnn", or what `imgfeat.backbones.load_backbone` takes.
    weights : "pretrained", path-like or None
    image_size : (int, int) or None
        Height and width of the input; None means the network's own, or else those of the images.
    image_shape : (int, int, int)
        Height, width and channels of the images.

    Returns
    -------
    backbone : Backbone
        With a trunk as `module`, and always an `image_size`.
    """
    if isinstance(backbone, str) and backbone == small_cnn.NAME:
        n_channels = image_shape[2]
        module: nn.Module = small_cnn.SmallCNN(n_channels)
        if weights not in ("pretrained", None):
            load_weights(module, weights)
        half = (0.5,) * n_channels
        size = image_size or image_shape[:2]
        return Backbone(small_cnn.NAME, module.eval(), n_channels, size, half, half, ())
    if isinstance(backbone, (str, os.PathLike)) and os.fspath(backbone).endswith(".onnx"):
        raise BackboneError(
            f"{os.fspath(backbone)} cannot be trained: .onnx files are for CNNEmbedding. Give the "
            "network as a torch.nn.Module, 'timm:NAME', 'efficientnet_lite0' or 'small_cnn'."
        )
    loaded = load_backbone(backbone, weights, image_size)
    size = loaded.image_size or image_shape[:2]
    trunk = _remove_classifier(loaded.module, loaded.n_channels, size)
    return replace(loaded, module=trunk, image_size=size)


def build_network(backbone: Backbone, n_outputs: int, dropout: float) -> FineTunedNetwork:
    """Return a trunk with a new classifier, in evaluation mode."""
    output = run_once(backbone.module, backbone.n_channels, backbone.image_size)
    if not isinstance(output, Tensor) or output.ndim not in (2, 3, 4):
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise BackboneError(
            "The output of backbone must be one tensor of shape (n, d), (n, d, h, w) or "
            f"(n, tokens, d), got {found}."
        )
    n_features = pool_output(output).shape[1]
    return FineTunedNetwork(backbone.module, n_features, n_outputs, dropout).eval()


def run_once(module: nn.Module, n_channels: int, image_size: Sequence[int] | None) -> Any:
    """Return the output of a network, on the CPU, for one image of zeros."""
    try:
        with torch.inference_mode():
            return module(torch.zeros(1, n_channels, *(image_size or ())))
    except Exception as error:  # a network's code may raise any class
        raise BackboneError(
            f"{type(module).__name__} fails on images of {image_size} pixels and {n_channels} "
            f"channel(s): {' '.join(str(error).split())[:200]}. Give another image_size."
        ) from error


def initialize(module: nn.Module, initialization: Initialization) -> None:
    """Draw the weights of convolutions and linear layers anew, and set their biases to 0.

    Parameters
    ----------
    module : torch.nn.Module
    initialization : {"he", "xavier"}
        Normal by He et al., ICCV 2015, or uniform by Glorot and Bengio, AISTATS 2010.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            if initialization == "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _remove_classifier(module: Any, n_channels: int, image_size: tuple[int, int]) -> nn.Module:
    if hasattr(module, "reset_classifier") and hasattr(module, "pretrained_cfg"):  # of timm
        module.reset_classifier(0)
        return module.requires_grad_(False)
    name = find_classifier(module, n_channels, image_size)
    if name is None:
        return module
    if not name:  # the network is nothing but a linear layer
        return nn.Flatten()
    outer, _, last = name.rpartition(".")
    setattr(module.get_submodule(outer), last, nn.Identity())
    return module


def find_classifier(module: nn.Module, n_channels: int, image_size: tuple[int, int]) -> str | None:
    """Return the name of the linear layer whose output is that of the network, or None."""
    outputs: dict[str, Any] = {}
    handles = [
        part.register_forward_hook(lambda _, __, output, name=name: outputs.update({name: output}))
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear)
    ]
    try:
        final = run_once(module, n_channels, image_size)
    finally:
        for handle in handles:
            handle.remove()
    return next((name for name, output in outputs.items() if output is final), None)
