"""Networks from .onnx files of any origin: their input format and their layers."""

import functools
import os
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from imgfeat._optional import import_optional
from imgfeat._sessions import QUIET
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.layers import Layer, describe_output
from imgfeat.backbones.onnx.external_data import read_model
from imgfeat.caching.content import digest_value
from imgfeat.caching.file_hashes import hash_file

if TYPE_CHECKING:
    import onnx

# Pre- and post-processing need opset 13; antialiased resizing needs opset 18.
MIN_OPSET = 13
MIN_OPSET_TO_RESIZE = 18
TO_CHANNELS_LAST = [0, 2, 3, 1]
TO_CHANNELS_FIRST = [0, 3, 1, 2]
# ONNX defines these operators for channels first only.
CHANNELS_FIRST_OPERATORS = frozenset(
    {"AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "MaxPool"}
)
# Tensors before the first of these operators are pixels, not features.
COMPUTING_OPERATORS = frozenset({"Conv", "Gemm", "MatMul"})
SHAPE_OPERATORS = frozenset({"Shape", "Size"})
# These operators move values without changing them.
MOVING_OPERATORS = frozenset(
    {"Cast", "Identity", "Pad", "Reshape", "Slice", "Squeeze", "Transpose"}
)
# The outputs of these operators are intermediate values of a normalisation.
CENTRING_OPERATORS = frozenset({"Div", "Sub"})


@dataclass(frozen=True, eq=False)
class OnnxNetwork:
    """A network from a file.

    Attributes
    ----------
    name : str
        Name of the file, without its extension.
    model : onnx.ModelProto
    n_channels : int
        1 or 3.
    image_size : (int, int) or None
        Height and width of the input, if the file fixes them.
    channels_last : bool
        Whether the input is of shape (n, h, w, c).
    takes_uint8 : bool
        Whether the input is uint8, in 0..255.
    fixed_batch : int or None
        Batch size, if the file fixes it.
    """

    name: str
    model: "onnx.ModelProto"
    n_channels: int
    image_size: tuple[int, int] | None
    channels_last: bool
    takes_uint8: bool
    fixed_batch: int | None


def is_onnx_file(backbone: object) -> TypeGuard[str | os.PathLike[str]]:
    """Return whether a backbone is given as the path of an .onnx file."""
    return isinstance(backbone, (str, os.PathLike)) and os.fspath(backbone).endswith(".onnx")


def fingerprint_file(path: str | os.PathLike[str]) -> str:
    """Return a hash of an ONNX file and of the files that hold its weights."""
    try:
        content = hash_file(path)
        folder = Path(path).parent
        rest = [hash_file(folder / name) for name in _list_external(os.fspath(path), content)]
    except OSError as error:
        raise BackboneError(f"The network {path} cannot be read: {error}.") from error
    return "onnx:" + digest_value([content, *rest]).hex()


@functools.lru_cache(maxsize=16)
def _list_external(path: str, content: str) -> tuple[str, ...]:
    """Return the files of weights that a network names; `content`, its hash, keys the cache."""
    onnx = import_optional("onnx")
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except Exception:  # a foreign file can fail in any way; `load_network` reports it
        return ()
    constants = [attribute.t for node in graph.node for attribute in node.attribute]
    tensors = [*graph.initializer, *constants]
    entries = [entry for tensor in tensors for entry in tensor.external_data]
    return tuple(sorted({entry.value for entry in entries if entry.key == "location"}))


def load_network(path: str | os.PathLike[str]) -> OnnxNetwork:
    """Load a network from a file.

    Parameters
    ----------
    path : path-like
        An .onnx file with one input of images, (n, c, h, w) or (n, h, w, c).

    Raises
    ------
    BackboneError
        If the file is missing or damaged, keeps weights outside its folder, or does not take a
        batch of images.
    """
    onnx = import_optional("onnx")
    try:
        model = read_model(path)
        onnx.checker.check_model(model)
    except BackboneError:
        raise
    except Exception as error:  # a foreign file can fail in any way
        cause = " ".join(str(error).split())[:200]
        raise BackboneError(f"{path} is damaged or no ONNX file ({cause}).") from error
    constants = {initializer.name for initializer in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise BackboneError(
            f"{path} has {len(inputs)} inputs ({', '.join(v.name for v in inputs)}); imgfeat "
            "needs a network with one input, for images."
        )
    # Older files list constants among the inputs.
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    tensor = inputs[0].type.tensor_type
    sides = [side.dim_value or None for side in tensor.shape.dim]
    if len(sides) != 4:
        raise BackboneError(
            f"{path} takes an input of rank {len(sides)}, {_show(sides)}; images are (n, c, h, w) "
            "or (n, h, w, c)."
        )
    types = onnx.TensorProto
    if tensor.elem_type not in (types.FLOAT, types.UINT8):
        raise BackboneError(
            f"{path} takes {types.DataType.Name(tensor.elem_type).lower()}; imgfeat feeds float32 "
            "or uint8."
        )
    channels_last = sides[3] in (1, 3) and sides[1] not in (1, 3)
    n_channels = sides[3] if channels_last else sides[1]
    if n_channels not in (1, 3):
        raise BackboneError(
            f"{path} takes an input of shape {_show(sides)}; images of 1 or 3 channels are "
            "(n, c, h, w) or (n, h, w, c)."
        )
    height, width = sides[1:3] if channels_last else sides[2:4]
    return OnnxNetwork(
        name=Path(path).stem,
        model=model,
        n_channels=n_channels,
        image_size=None if height is None or width is None else (height, width),
        channels_last=channels_last,
        takes_uint8=tensor.elem_type == types.UINT8,
        fixed_batch=sides[0],
    )


def upgrade(network: OnnxNetwork, opset: int) -> OnnxNetwork:
    """Convert a network to an opset, if it was written for an older one.

    Raises
    ------
    BackboneError
        If it has operators that cannot be converted.
    """
    (found,) = (entry.version for entry in network.model.opset_import if not entry.domain)
    if found >= opset:
        return network
    try:
        converter = import_optional("onnx.version_converter")
        model = converter.convert_version(network.model, opset)
    except Exception as error:  # the converter raises many classes
        cause = " ".join(str(error).split())[:200]
        raise BackboneError(
            f"{network.name}.onnx is written for opset {found} and cannot be converted to {opset} "
            f"({cause}). Export it for opset {opset} or later."
        ) from error
    return replace(network, model=model)


def trace_graph(network: OnnxNetwork, image_size: tuple[int, int]) -> dict[str, Layer]:
    """Run a network once and list the tensors in it that can be pooled, in order.

    Raises
    ------
    BackboneError
        If the network fails on images of that size, or has no such tensor.
    """
    n = network.fixed_batch or 2
    names = [name for node in network.model.graph.node for name in node.output if name]
    outputs = dict(zip(names, _run_all(network, names, n, image_size), strict=True))
    last = _find_channels_last(network)
    layers = {}
    for name, value in outputs.items():
        if value.dtype != np.float32 or value.ndim not in (2, 3, 4) or len(value) != n:
            continue
        layer = describe_output(name, value.shape[1:], image_size, channels_last=name in last)
        if layer is not None:
            layers[name] = layer
    if not layers:
        raise BackboneError(f"{network.name}.onnx has no layer that can be pooled into features.")
    return layers


def find_cuts(network: OnnxNetwork, layers: dict[str, Layer]) -> list[str]:
    """Return the layers on which all later ones depend, such as outputs of residual blocks."""
    graph = network.model.graph
    constants = {value.name for value in graph.initializer}
    used = [name for node in graph.node for name in node.input]
    uses = Counter(used + [output.name for output in graph.output])
    live = {graph.input[0].name}
    cuts: list[str] = []
    inside = MOVING_OPERATORS | CENTRING_OPERATORS
    computed = False
    for node in graph.node:
        for name in node.input:
            uses[name] -= 1
            if uses[name] == 0:
                live.discard(name)
        # Shapes are constants, since all images have one size.
        known = node.op_type in SHAPE_OPERATORS
        if known or all(name in constants for name in node.input if name):
            constants |= set(node.output)
            continue
        live |= {name for name in node.output if uses[name]}
        computed = computed or node.op_type in COMPUTING_OPERATORS
        if len(live) == 1 and computed and node.op_type not in inside:
            cuts += [name for name in live if name in layers and layers[name].kind != "vector"]
    return list(dict.fromkeys(cuts))


def _run_all(
    network: OnnxNetwork, names: list[str], n: int, image_size: tuple[int, int]
) -> list[NDArray[Any]]:
    """Return the named tensors of the graph, for black images."""
    onnx, ort = import_optional("onnx"), import_optional("onnxruntime")
    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = ort.SessionOptions()
    options.log_severity_level = QUIET
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    shape = (n, *image_size, network.n_channels)
    if not network.channels_last:
        shape = (n, network.n_channels, *image_size)
    images = np.zeros(shape, np.uint8 if network.takes_uint8 else np.float32)
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(names, {session.get_inputs()[0].name: images})
    except Exception as error:  # onnxruntime raises a class for each of its codes
        raise BackboneError(
            f"{network.name}.onnx fails on images of {image_size[0]} x {image_size[1]} pixels: "
            f"{' '.join(str(error).split())[:200]}. Its image_size may be too small."
        ) from error


def _find_channels_last(network: OnnxNetwork) -> set[str]:
    """Return the names of the tensors with channels last."""
    graph = network.model.graph
    last = {graph.input[0].name} if network.channels_last else set()
    for node in graph.node:
        turn = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
        if node.op_type == "Transpose" and turn in (TO_CHANNELS_LAST, TO_CHANNELS_FIRST):
            now_last = turn == TO_CHANNELS_LAST
        else:
            now_last = node.op_type not in CHANNELS_FIRST_OPERATORS and any(
                name in last for name in node.input
            )
        if now_last:
            last |= set(node.output)
    return last


def _show(sides: list[int | None]) -> str:
    return f"({', '.join('?' if side is None else str(side) for side in sides)})"
