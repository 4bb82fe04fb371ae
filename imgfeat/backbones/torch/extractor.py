"""From uint8 pictures to features as one torch module: what every other engine is held to."""

from collections.abc import Sequence
from typing import Any

from imgfeat._optional import import_optional
from imgfeat.backbones.backbone import Backbone
from imgfeat.backbones.layers import Layer
from imgfeat.backbones.onnx.graph import Surroundings
from imgfeat.backbones.pooling import pool_with_torch


class _EnoughError(Exception):
    """Raised inside a network once its last layer of interest has run; the rest is not needed."""


def build_taps(backbone: Backbone, layers: Sequence[Layer]) -> Any:
    """Return a module from normalised images (n, c, h, w) to the raw outputs of `layers`."""
    module: Any = import_optional("torch").nn.Module

    class Taps(module):
        def __init__(self):
            super().__init__()
            self.network = backbone.module
            self.layers = tuple(layers)

        def forward(self, pixels):
            # Copies, since later layers may work in place; to the end, since torch.export cannot
            # follow an exception. It removes what no output needs.
            return tuple(
                run_layers(
                    self.network,
                    pixels,
                    self.layers,
                    lambda output, layer: output.clone(),
                    to_the_end=True,
                )
            )

    return Taps().eval()


def build_extractor(backbone: Backbone, around: Surroundings, taps: Any = None) -> Any:
    """Return a module from images (n, h, w, c), uint8, to features (n, d), float32.

    `taps`, such as `build_taps` returns, stands in for the network, where hooks would be in the
    way of torch.compile.
    """
    torch = import_optional("torch")
    scale = [1 / (255 * std) for std in around.std]
    shift = [-mean / std for mean, std in zip(around.mean, around.std, strict=True)]

    module: Any = torch.nn.Module

    class Extractor(module):
        def __init__(self):
            super().__init__()
            self.network = taps or backbone.module
            self.register_buffer("scale", torch.tensor(scale).reshape(1, -1, 1, 1))
            self.register_buffer("shift", torch.tensor(shift).reshape(1, -1, 1, 1))

        def forward(self, images):
            pixels = self.normalise(images)
            if taps is None:
                return torch.cat(run_layers(self.network, pixels, around.layers, pool), dim=1)
            outputs = self.network(pixels)
            return torch.cat(
                [pool(*pair) for pair in zip(outputs, around.layers, strict=True)], dim=1
            )

        def normalise(self, images):
            # (n, h, w, c) seen as (n, c, h, w) is channels_last already.
            pixels = images.permute(0, 3, 1, 2).float()
            if tuple(pixels.shape[2:]) != tuple(around.image_size):
                pixels = torch.nn.functional.interpolate(
                    pixels, size=around.image_size, mode="bilinear", antialias=True
                )
            return pixels * self.scale + self.shift

    def pool(output, layer):
        return pool_with_torch(output, layer, around.pooling, around.grid)

    # An exported graph has no modes, and no method to choose one.
    return Extractor() if taps is not None else Extractor().eval()


def run_layers(
    network: Any,
    pixels: Any,
    layers: Sequence[Layer],
    collect: Any,
    *,
    to_the_end: bool = False,
) -> list[Any]:
    """Run a network as far as the last of `layers`, and collect what they make.

    Parameters
    ----------
    network : torch.nn.Module
    pixels : torch.Tensor of shape (n, c, h, w)
    layers : sequence of Layer
    collect : callable
        ``collect(output, layer)`` is called right when a layer has run.
    to_the_end : bool, default=False
        Run the rest as well.

    Returns
    -------
    collected : list
        What it returned, in the order of `layers`.
    """
    collected: dict[str, Any] = {}

    def hook(layer: Layer, output: Any) -> None:
        collected[layer.name] = collect(output, layer)
        if len(collected) == len(layers) and not to_the_end:
            raise _EnoughError

    parts = dict(network.named_modules())
    handles = [
        parts["" if layer.name == "output" else layer.name].register_forward_hook(
            lambda _, __, output, layer=layer: hook(layer, output)
        )
        for layer in layers
    ]
    try:
        network(pixels)
    except _EnoughError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return [collected[layer.name] for layer in layers]
