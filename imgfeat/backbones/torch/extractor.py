"""A torch module from uint8 images to features, the reference for exported graphs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from imgfeat._optional import import_optional
from imgfeat.backbones.backbone import Backbone
from imgfeat.backbones.layers import Layer
from imgfeat.backbones.onnx.graph import PrePostProcessing
from imgfeat.backbones.pooling import pool_with_torch

if TYPE_CHECKING:
    from torch import Tensor, nn

Collected = TypeVar("Collected")


class _StopForwardError(Exception):
    """Raised inside a network to skip the layers after the last selected one."""


def build_taps(backbone: Backbone, layers: Sequence[Layer]) -> "nn.Module":
    """Return a module from normalised images (n, c, h, w) to the raw outputs of `layers`."""
    module: Any = import_optional("torch").nn.Module

    class Taps(module):
        def __init__(self) -> None:
            super().__init__()
            self.network = backbone.module
            self.layers = tuple(layers)

        def forward(self, pixels: "Tensor") -> tuple["Tensor", ...]:
            # Outputs are copied, since later layers may work in place. All layers run, since
            # torch.export cannot trace an exception; it removes layers that no output needs.
            return tuple(
                run_layers(
                    self.network,
                    pixels,
                    self.layers,
                    lambda output, layer: output.clone(),
                    run_all=True,
                )
            )

    return Taps().eval()


def build_extractor(
    backbone: Backbone, processing: PrePostProcessing, taps: "nn.Module | None" = None
) -> Any:
    """Return a module from images (n, h, w, c), uint8, to features (n, d), float32.

    `taps`, such as `build_taps` returns, replaces the network where torch.compile cannot trace
    forward hooks.
    """
    torch = import_optional("torch")
    scale = [1 / (255 * std) for std in processing.std]
    shift = [-mean / std for mean, std in zip(processing.mean, processing.std, strict=True)]

    module: Any = torch.nn.Module

    class Extractor(module):
        def __init__(self) -> None:
            super().__init__()
            self.network = taps or backbone.module
            self.register_buffer("scale", torch.tensor(scale).reshape(1, -1, 1, 1))
            self.register_buffer("shift", torch.tensor(shift).reshape(1, -1, 1, 1))

        def forward(self, images: "Tensor") -> "Tensor":
            pixels = self.normalise(images)
            if taps is None:
                return torch.cat(run_layers(self.network, pixels, processing.layers, pool), dim=1)
            outputs = self.network(pixels)
            return torch.cat(
                [pool(*pair) for pair in zip(outputs, processing.layers, strict=True)], dim=1
            )

        def normalise(self, images: "Tensor") -> "Tensor":
            # This view of (n, h, w, c) as (n, c, h, w) already has the channels_last memory format.
            pixels = images.permute(0, 3, 1, 2).float()
            if tuple(pixels.shape[2:]) != tuple(processing.image_size):
                pixels = torch.nn.functional.interpolate(
                    pixels, size=processing.image_size, mode="bilinear", antialias=True
                )
            return pixels * self.scale + self.shift

    def pool(output: "Tensor", layer: Layer) -> "Tensor":
        return pool_with_torch(output, layer, processing.pooling, processing.grid)

    # An exported graph has no training mode, and its `eval` raises an error.
    return Extractor() if taps is not None else Extractor().eval()


def run_layers(
    network: "nn.Module",
    pixels: "Tensor",
    layers: Sequence[Layer],
    collect: Callable[["Tensor", Layer], Collected],
    *,
    run_all: bool = False,
) -> list[Collected]:
    """Run a network up to the last of `layers`, and collect their outputs.

    Parameters
    ----------
    network : torch.nn.Module
    pixels : torch.Tensor of shape (n, c, h, w)
    layers : sequence of Layer
    collect : callable
        ``collect(output, layer)`` is called as soon as a layer has run.
    run_all : bool, default=False
        Whether to run the remaining layers as well.

    Returns
    -------
    collected : list
        Return values of `collect`, in the order of `layers`.
    """
    collected: dict[str, Collected] = {}

    def hook(layer: Layer, output: "Tensor") -> None:
        collected[layer.name] = collect(output, layer)
        if len(collected) == len(layers) and not run_all:
            raise _StopForwardError

    parts = dict(network.named_modules())
    handles = [
        parts["" if layer.name == "output" else layer.name].register_forward_hook(
            lambda _, __, output, layer=layer: hook(layer, output)
        )
        for layer in layers
    ]
    try:
        network(pixels)
    except _StopForwardError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return [collected[layer.name] for layer in layers]
