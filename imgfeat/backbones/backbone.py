"""Torch networks, loaded by name or given as modules, with their expected image format."""

import copy
import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from imgfeat._optional import import_optional
from imgfeat.backbones import lite0
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.state_dicts import load_weights
from imgfeat.caching.content import digest_value
from imgfeat.caching.file_hashes import hash_file

if TYPE_CHECKING:
    import torch

SEED = 0

# A name, the path of an .onnx file, or a module.
BackboneSource = Union[str, os.PathLike[str], "torch.nn.Module"]


@dataclass(frozen=True, eq=False)
class Backbone:
    """A torch network and the image format that it expects.

    Attributes
    ----------
    name : str
        Used in feature names and messages.
    module : torch.nn.Module
        In evaluation mode, on the CPU; not shared with the caller.
    n_channels : int
        1 or 3.
    image_size : (int, int) or None
        Height and width that the network was built for; None if it takes images of any size.
    mean, std : tuple of float
        For each channel, of images in [0, 1].
    stages : tuple of str
        Names of the last layer at each resolution, as listed by timm; empty for other modules.
    """

    name: str
    module: Any
    n_channels: int
    image_size: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    stages: tuple[str, ...]


def load_backbone(
    backbone: BackboneSource,
    weights: str | os.PathLike[str] | None,
    image_size: tuple[int, int] | None = None,
) -> Backbone:
    """Load a network.

    Parameters
    ----------
    backbone : str or torch.nn.Module
        "efficientnet_lite0", "timm:NAME", or a module, which is copied.
    weights : "pretrained", path-like or None
        None means random weights, the same every time. A path is that of a state dict, either
        a .safetensors file or one written by ``torch.save``.
    image_size : (int, int), default=None
        Height and width, for networks that are built for one size, such as vision transformers.

    Returns
    -------
    backbone : Backbone

    Raises
    ------
    BackboneError
        If there is no such network, or its weights are missing or damaged.
    """
    if isinstance(backbone, str):
        module, name = _load_named(backbone, weights, image_size)
    else:
        module, name = copy.deepcopy(_check_module(backbone)), type(backbone).__name__
    if weights not in ("pretrained", None):
        load_weights(module, weights)
    module.eval().requires_grad_(False)
    settings = _find_settings(module)
    if backbone == lite0.NAME:
        settings |= {"image_size": lite0.IMAGE_SIZE, "mean": lite0.MEAN, "std": lite0.STD}
    if image_size is not None:
        settings["image_size"] = image_size
    if settings["n_channels"] not in (1, 3):
        raise BackboneError(
            f"{name} takes images of {settings['n_channels']} channels; imgfeat has images of 1 "
            "or 3."
        )
    return Backbone(name=name, module=module, stages=_find_stages(module), **settings)


def fingerprint_backbone(
    backbone: BackboneSource, weights: str | os.PathLike[str] | None
) -> str | None:
    """Return a hash that identifies a network, or None if the network must be loaded first.

    The hash of the packaged weights is a constant, so that they need no import of torch.

    Raises
    ------
    CannotIdentifyError
        If the content of a module cannot be hashed.
    """
    from_file = weights not in ("pretrained", None) and Path(weights or "").is_file()
    source = hash_file(weights or "") if from_file else weights
    if backbone == lite0.NAME and weights == "pretrained":
        return f"{lite0.NAME}:{lite0.SHA256}"
    if not isinstance(backbone, str):
        return f"{fingerprint_module(backbone)}:{source if from_file else ''}"
    if weights is None:
        return f"{backbone}:random:{SEED}"
    return f"{backbone}:{source}" if from_file else None


def fingerprint_module(module: object) -> str:
    """Return a hash of all that determines a module's output: weights, settings, hooks, code."""
    return f"module:{digest_value(_check_module(module)).hex()}"


def _load_named(
    name: str, weights: str | os.PathLike[str] | None, image_size: tuple[int, int] | None
) -> tuple["torch.nn.Module", str]:
    if name == lite0.NAME:
        if weights == "pretrained":
            return lite0.build(), name
        return _create_timm(lite0.ARCHITECTURE, image_size, pretrained=False), name
    kind, _, model_name = name.partition(":")
    if kind != "timm" or not model_name:
        raise BackboneError(
            f"There is no backbone {name!r}. Give {lite0.NAME!r}, 'timm:NAME' for any model of "
            "timm, the path of an .onnx file, or a torch.nn.Module."
        )
    return _create_timm(model_name, image_size, pretrained=weights == "pretrained"), model_name


def _create_timm(
    name: str, image_size: tuple[int, int] | None, *, pretrained: bool
) -> "torch.nn.Module":
    torch, timm = import_optional("torch"), import_optional("timm")
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=5)
        hint = f" Did you mean {', '.join(close)}?" if close else ""
        raise BackboneError(f"timm {timm.__version__} has no model {name!r}.{hint}")
    options = {}
    config = timm.get_pretrained_cfg(name)
    if image_size is not None and config is not None and config.fixed_input_size:
        options["img_size"] = image_size
    if pretrained and (config is None or not config.has_weights):
        raise BackboneError(
            f"timm has no pretrained weights for {name!r}. Give weights=PATH, or weights=None for "
            "random ones."
        )
    # Random weights are the same in every process; the user's generator keeps its state.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        try:
            return timm.create_model(name, pretrained=pretrained, **options)
        except Exception as error:  # the hub, its cache and the network raise many classes
            if not pretrained:
                raise BackboneError(f"timm:{name} cannot be built: {_first_line(error)}") from error
            raise BackboneError(
                f"The pretrained weights of timm:{name} are not on this machine and cannot be "
                f"downloaded ({_first_line(error)}). Connect it to the internet once, or give "
                "weights=PATH, or weights=None for random ones."
            ) from error


def _check_module(backbone: object) -> "torch.nn.Module":
    torch = import_optional("torch")
    if not isinstance(backbone, torch.nn.Module):
        raise TypeError(
            "backbone must be a name, the path of an .onnx file, or a torch.nn.Module, got "
            f"{type(backbone).__name__}."
        )
    return backbone


def _find_settings(module: "torch.nn.Module") -> dict[str, Any]:
    """Read the input format from timm's configuration; plain modules take images in [0, 1]."""
    config = getattr(module, "pretrained_cfg", None) or {}
    if "input_size" in config and "mean" in config:
        n_channels, height, width = config["input_size"]
        # A model may have been built for other channels or another size than in its configuration.
        n_channels = _count_channels(module, n_channels)
        size = getattr(getattr(module, "patch_embed", None), "img_size", None) or (height, width)
        mean, std = (_fit_channels(config[key], n_channels) for key in ("mean", "std"))
        image_size: tuple[int, int] | None = (int(size[0]), int(size[1]))
    else:
        n_channels = _count_channels(module, 3)
        image_size, mean, std = None, (0.0,) * n_channels, (1.0,) * n_channels
    return {"n_channels": n_channels, "image_size": image_size, "mean": mean, "std": std}


def _fit_channels(values: Sequence[float], n_channels: int) -> tuple[float, ...]:
    if len(values) == n_channels:
        return tuple(float(value) for value in values)
    return (float(sum(values)) / len(values),) * n_channels


def _count_channels(module: "torch.nn.Module", default: int) -> int:
    torch = import_optional("torch")
    for part in module.modules():
        if isinstance(part, torch.nn.Conv2d):
            return part.in_channels
    return default


def _find_stages(module: "torch.nn.Module") -> tuple[str, ...]:
    """Return timm's own list of stages."""
    info = getattr(module, "feature_info", None)
    rows = getattr(info, "info", info)
    if not isinstance(rows, list) or not all(isinstance(r, dict) and "module" in r for r in rows):
        return ()
    return tuple(row["module"] for row in rows)


def _first_line(error: Exception, length: int = 200) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:length]
