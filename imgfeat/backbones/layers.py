"""The layers of a network, their output shapes, and the selection of layers by name or preset."""

import difflib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgfeat._optional import import_optional
from imgfeat.backbones.errors import BackboneError

if TYPE_CHECKING:
    import torch

PRESETS = ("last", "middle", "stages")
# Relative depths of the layers of EfficientNet-Lite0 with the best accuracy in
# benchmarks/bench_layers.py.
MIDDLE_DEPTHS = (0.45, 0.67, 0.93)
# A layer with fewer channels than the widest divided by this is taken for a head.
MAX_NARROWING = 4
# Layers inside a block have up to eight times the channels of its output.
MAX_WIDENING = 8


@dataclass(frozen=True)
class Layer:
    """One layer of a network and the shape of its output for one image.

    Attributes
    ----------
    name : str
        Name of the module, or of the tensor in an ONNX graph.
    kind : {"map", "tokens", "vector"}
        A map has channels, height and width; tokens are a sequence of vectors; a vector is one.
    n_channels : int
        Number of channels of a map, or length of each vector.
    sides : (int, int)
        Height and width of the map or of the grid of patches; (1, 1) for a vector.
    n_prefix : int
        Number of tokens before the patches: the class token, registers.
    channels_last : bool
        Whether the output is of shape (n, h, w, c).
    """

    name: str
    kind: str
    n_channels: int
    sides: tuple[int, int] = (1, 1)
    n_prefix: int = 0
    channels_last: bool = False


def describe_output(
    name: str,
    shape: Sequence[int],
    image_size: tuple[int, int],
    *,
    channels_last: bool = False,
    n_prefix: int | None = None,
) -> Layer | None:
    """Describe a layer by its output shape for one image; return None if it cannot be pooled.

    Parameters
    ----------
    name : str
    shape : sequence of int
        Shape without the batch dimension.
    image_size : (int, int)
        Height and width of the image, whose ratio gives the shape of the grid of patches.
    channels_last : bool, default=False
    n_prefix : int, default=None
        Number of tokens before the patches. If None, it is 0 or 1, whichever leaves a square
        number of patches.
    """
    if min(shape, default=0) < 1:
        return None
    if len(shape) == 1:
        return Layer(name, "vector", shape[0])
    if len(shape) == 3:
        height, width, channels = shape if channels_last else (shape[1], shape[2], shape[0])
        return Layer(name, "map", channels, (height, width), channels_last=channels_last)
    if len(shape) == 2:
        if n_prefix is None:
            n_prefix = next((k for k in (0, 1) if _is_square(shape[0] - k)), 0)
        sides = _find_patch_grid(shape[0] - n_prefix, image_size)
        return Layer(name, "tokens", shape[1], sides, n_prefix)
    return None


def trace_layers(
    module: "torch.nn.Module", n_channels: int, image_size: tuple[int, int]
) -> dict[str, Layer]:
    """Run a network once and list the modules in it that run once, in the order they finish.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, on the CPU.
    n_channels : int
    image_size : (int, int)

    Returns
    -------
    layers : dict of str to Layer

    Raises
    ------
    BackboneError
        If the network fails on images of that size, for example because they are too small.
    """
    torch = import_optional("torch")
    shapes: dict[str, tuple[int, ...]] = {}
    calls: dict[str, int] = {}
    parts = dict(module.named_modules())

    def record(name: str, output: object) -> None:
        calls[name] = calls.get(name, 0) + 1
        shapes.pop(name, None)
        if isinstance(output, torch.Tensor) and output.is_floating_point() and len(output) == 1:
            shapes[name] = tuple(output.shape[1:])

    handles = [
        part.register_forward_hook(lambda _, __, output, name=name: record(name, output))
        for name, part in parts.items()
    ]
    try:
        with torch.inference_mode():
            module(torch.zeros(1, n_channels, *image_size))
    except Exception as error:  # a network's code may raise any class
        raise BackboneError(
            f"{type(module).__name__} fails on images of {image_size[0]} x {image_size[1]} pixels "
            f"and {n_channels} channel(s): {' '.join(str(error).split())[:200]}. Its image_size "
            "may be too small."
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    last_format = getattr(module, "output_fmt", None) == "NHWC"
    described = {
        name or "output": describe_output(
            name or "output",
            shape,
            image_size,
            # Convolutions keep torch's order inside networks that otherwise have channels last.
            channels_last=last_format and not isinstance(parts[name], torch.nn.Conv2d),
            n_prefix=getattr(module, "num_prefix_tokens", None),
        )
        for name, shape in shapes.items()
        if calls[name] == 1
    }
    return {name: layer for name, layer in described.items() if layer is not None}


def find_blocks(module: "torch.nn.Module", layers: dict[str, Layer]) -> list[str]:
    """Return the modules that a network runs in sequence, without the modules inside them."""
    torch = import_optional("torch")
    containers = (torch.nn.Sequential, torch.nn.ModuleList)
    parts = dict(module.named_modules())
    blocks = []
    for name, layer in layers.items():
        if name == "output" or isinstance(parts[name], containers) or layer.kind == "vector":
            continue
        ancestors = [name.rsplit(".", k)[0] for k in range(1, name.count(".") + 1)]
        if all(isinstance(parts[above], containers) for above in ancestors):
            blocks.append(name)
    numbered = [name for name in blocks if name.rpartition(".")[2].isdigit()]
    return numbered if len(numbered) >= 4 else blocks


def choose_layers(
    wanted: str | Sequence[str],
    layers: dict[str, Layer],
    blocks: Sequence[str],
    stages: Sequence[str] = (),
) -> list[Layer]:
    """Look up layers by name or preset.

    Parameters
    ----------
    wanted : str or sequence of str
        A preset, a name, or several names.
    layers : dict of str to Layer
        All layers of the network, in the order in which they are computed.
    blocks : sequence of str
        The modules that run in sequence.
    stages : sequence of str
        Names of the last layer at each resolution, if the network lists them.

    Raises
    ------
    BackboneError
        If a layer does not exist; the message lists those that do.
    """
    if isinstance(wanted, str) and wanted in PRESETS:
        names = _expand_preset(wanted, layers, blocks, stages)
    else:
        names = [wanted] if isinstance(wanted, str) else list(wanted)
    unknown = [name for name in names if name not in layers]
    if unknown:
        raise BackboneError(_describe_unknown(str(unknown[0]), list(layers), blocks))
    return [layers[name] for name in names]


def _expand_preset(
    preset: str, layers: dict[str, Layer], blocks: Sequence[str], stages: Sequence[str]
) -> list[str]:
    blocks = find_encoder(layers, blocks)
    if preset == "last":
        chosen = [_find_last(layers, blocks)]
    elif len(blocks) < 2:
        raise BackboneError(
            f"layers={preset!r} needs a network of several blocks, found {len(blocks)}. Name the "
            f"layers: {', '.join(layers)}."
        )
    elif preset == "middle":
        last = len(blocks) - 1
        chosen = list(dict.fromkeys(blocks[round(depth * last)] for depth in MIDDLE_DEPTHS))
    elif stages and len({layers[name].sides for name in stages if name in layers}) > 1:
        chosen = list(stages)
    else:
        chosen = _find_stages(layers, blocks)
    _warn_if_narrow(preset, chosen, layers)
    return chosen


def find_encoder(layers: dict[str, Layer], blocks: Sequence[str]) -> list[str]:
    """Return the blocks up to the last one at the coarsest resolution.

    A decoder, which upsamples the coarsest maps, is left out, and so is a head at the end, which
    has far fewer channels than its input.
    """
    # Global pooling at the end is not a block.
    encoder = [name for name in blocks if math.prod(layers[name].sides) > 1] or list(blocks)
    if not encoder:
        return []
    places = [math.prod(layers[name].sides) for name in encoder]
    end = len(places) - places[::-1].index(min(places))
    encoder = encoder[:end]
    widest = max(layers[name].n_channels for name in encoder)
    while layers[encoder[-1]].n_channels * MAX_NARROWING < widest:
        encoder.pop()
    return encoder


def _find_last(layers: dict[str, Layer], blocks: Sequence[str]) -> str:
    """Return the last layer of the last block's resolution, before pooling or a decoder."""
    names = list(layers)
    if not blocks:
        spatial = [name for name in names if math.prod(layers[name].sides) > 1]
        return (spatial or names)[-1]
    last = blocks[-1]
    block = layers[last]
    for name in names[names.index(last) + 1 :]:
        layer = layers[name]
        if math.prod(layer.sides) > 1 and layer.sides != block.sides:
            break
        alike = (layer.kind, layer.sides, layer.n_prefix) == (
            block.kind,
            block.sides,
            block.n_prefix,
        )
        if alike and layer.n_channels * MAX_NARROWING >= block.n_channels:
            last = name
    return last


def _find_stages(layers: dict[str, Layer], blocks: Sequence[str]) -> list[str]:
    by_sides = {layers[name].sides: name for name in blocks}
    if len(by_sides) > 1:
        return list(by_sides.values())
    # Transformers have one resolution: each quarter of the depth counts as a stage.
    return list(dict.fromkeys(blocks[-(-len(blocks) * k // 4) - 1] for k in (1, 2, 3, 4)))


def _warn_if_narrow(preset: str, chosen: Sequence[str], layers: dict[str, Layer]) -> None:
    width = max(layers[name].n_channels for name in chosen if name in layers)
    others = [
        layer for layer in layers.values() if layer.kind != "vector" and layer.sides != (1, 1)
    ]
    widest = max(others, key=lambda layer: layer.n_channels, default=None)
    if widest is not None and widest.n_channels > MAX_WIDENING * width:
        warnings.warn(
            f"layers={preset!r} selects {', '.join(chosen)}, with {width} channels, but the "
            f"network has layers with up to {widest.n_channels}, such as {widest.name}. Name the "
            "layers that you want; list_layers() returns them all.",
            UserWarning,
            stacklevel=2,
        )


def _describe_unknown(name: str, known: list[str], blocks: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    listed = known if len(known) <= 40 else list(blocks)
    return (
        f"There is no layer {name!r}."
        + (f" Did you mean {', '.join(close)}?" if close else "")
        + f" Presets: {', '.join(PRESETS)}. Layers: {', '.join(listed)}"
        + (f", and {len(known) - len(listed)} inside them." if listed is not known else ".")
    )


def _is_square(n: int) -> bool:
    return n > 0 and math.isqrt(n) ** 2 == n


def _find_patch_grid(n_patches: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the grid of patches whose aspect ratio is closest to that of the image."""
    target = math.log(image_size[0] / image_size[1])
    rows = [k for k in range(1, n_patches + 1) if n_patches % k == 0]
    best = min(rows, key=lambda k: abs(math.log(k * k / n_patches) - target))
    return best, n_patches // best
