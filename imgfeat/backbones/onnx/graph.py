"""ONNX graphs from uint8 images to features: preprocessing, a network, and pooling."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from imgfeat._optional import import_optional
from imgfeat.backbones.layers import Layer
from imgfeat.backbones.pooling import (
    GEM_FLOOR,
    GEM_POWER,
    PooledBlock,
    count_features,
    list_pooled_blocks,
)

if TYPE_CHECKING:
    import onnx

INPUT = "images"
OUTPUT = "features"
PREFIX = "imgfeat_"


@dataclass(frozen=True)
class PrePostProcessing:
    """Preprocessing of images before a network, and pooling of layers after it.

    Attributes
    ----------
    input_shape : (int, int, int)
        Height, width and channels of the uint8 input images.
    image_size : (int, int)
        Height and width of the network's input.
    mean, std : tuple of float
        Mean and standard deviation of each channel, for images in [0, 1].
    layers : tuple of Layer
        Layers whose outputs are pooled.
    pooling : tuple of str
    grid : int
    """

    input_shape: tuple[int, int, int]
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    layers: tuple[Layer, ...]
    pooling: tuple[str, ...]
    grid: int

    def to_dict(self) -> dict[str, Any]:
        """Return a dict that can be written as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Create an instance from the result of `to_dict`."""
        layers = [Layer(**{**layer, "sides": tuple(layer["sides"])}) for layer in values["layers"]]
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        plain["layers"] = tuple(layers)
        return cls(**plain)


class _NodeList:
    """New nodes and constants, with a name prefix that the network does not use."""

    def __init__(self) -> None:
        self.helper = import_optional("onnx").helper
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto] = {}

    def add(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{PREFIX}{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(
            self.helper.make_node(
                kind, list(inputs), [output], name=f"{PREFIX}{len(self.nodes)}", **attributes
            )
        )
        return output

    def constant(self, value: ArrayLike, dtype: DTypeLike) -> str:
        array = np.asarray(value, dtype=dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            name = f"{PREFIX}constant_{len(self.constants)}"
            self.constants[key] = import_optional("onnx").numpy_helper.from_array(array, name)
        return self.constants[key].name


def wrap_network(
    network: "onnx.ModelProto",
    processing: PrePostProcessing,
    outputs: Sequence[str],
    *,
    channels_last: bool = False,
    takes_uint8: bool = False,
    batch: int | None = None,
) -> "onnx.ModelProto":
    """Add preprocessing before a network and pooling after it.

    Parameters
    ----------
    network : onnx.ModelProto
        A network with one input of rank 4, modified in place.
    processing : PrePostProcessing
    outputs : sequence of str
        Tensors in the network, one for each layer of `processing`.
    channels_last : bool, default=False
        Whether the network takes (n, h, w, c).
    takes_uint8 : bool, default=False
        Whether the network takes uint8 pixels instead of normalised ones.
    batch : int, default=None
        Batch size, if the network takes only one; None if it takes any.

    Returns
    -------
    model : onnx.ModelProto
        Takes "images" (n, h, w, c), uint8, and returns "features" (n, d), float32; n is free
        unless `batch` is given.
    """
    helper, types = import_optional("onnx").helper, import_optional("onnx").TensorProto
    nodes = _NodeList()
    graph = network.graph
    initializers = {initializer.name for initializer in graph.initializer}
    (pixels,) = (value.name for value in graph.input if value.name not in initializers)
    _preprocess(nodes, processing, pixels, channels_last=channels_last, takes_uint8=takes_uint8)
    n_before = len(nodes.nodes)
    pooled = [
        block
        for layer, output in zip(processing.layers, outputs, strict=True)
        for block in _pool(nodes, output, layer, processing)
    ]
    nodes.add("Concat", *pooled, axis=1, output=OUTPUT)
    ordered = [*nodes.nodes[:n_before], *graph.node, *nodes.nodes[n_before:]]
    del graph.node[:], graph.output[:], graph.input[:], graph.value_info[:]
    graph.node.extend(ordered)
    graph.initializer.extend(nodes.constants.values())
    graph.input.append(
        helper.make_tensor_value_info(INPUT, types.UINT8, [batch or "n", *processing.input_shape])
    )
    n_features = count_features(processing.layers, processing.pooling, processing.grid)
    graph.output.append(
        helper.make_tensor_value_info(OUTPUT, types.FLOAT, [batch or "n", n_features])
    )
    return network


def _preprocess(
    nodes: _NodeList,
    processing: PrePostProcessing,
    pixels: str,
    *,
    channels_last: bool,
    takes_uint8: bool,
) -> None:
    types = import_optional("onnx").TensorProto
    exact = find_exact_scale(processing)
    if takes_uint8:
        images = nodes.add("Cast", nodes.add("Round", _resize(nodes, processing)), to=types.UINT8)
    elif exact is None:
        images = _normalise(nodes, _resize(nodes, processing), processing)
    else:
        scale, zero = nodes.constant(exact[0], np.float32), nodes.constant(exact[1], np.uint8)
        images = nodes.add("DequantizeLinear", INPUT, scale, zero)
    order = [0, 1, 2, 3] if channels_last else [0, 3, 1, 2]
    nodes.add("Transpose", images, perm=order, output=pixels)


def find_exact_scale(processing: PrePostProcessing) -> tuple[float, int] | None:
    """Return the scale and zero point that express normalisation exactly, or None.

    Such a normalisation is one DequantizeLinear node, and needs no node in a quantised graph.
    """
    zeros = {round(255 * mean, 6) for mean in processing.mean}
    resized = tuple(processing.input_shape[:2]) != tuple(processing.image_size)
    if resized or len(set(processing.std)) > 1 or len(zeros) > 1:
        return None
    zero = zeros.pop()
    if not (zero.is_integer() and 0 <= zero <= 255):
        return None
    return 1 / (255 * processing.std[0]), int(zero)


def _resize(nodes: _NodeList, processing: PrePostProcessing) -> str:
    """Cast to float and, if sizes differ, resize like torch's antialiased interpolation."""
    images = nodes.add("Cast", INPUT, to=import_optional("onnx").TensorProto.FLOAT)
    if tuple(processing.input_shape[:2]) == tuple(processing.image_size):
        return images
    sizes = nodes.constant(processing.image_size, np.int64)
    # Without exclude_outside, interpolation weights at the right and lower edges are wrong.
    return nodes.add(
        "Resize", images, "", "", sizes, mode="linear", antialias=1, exclude_outside=1,
        axes=[1, 2], coordinate_transformation_mode="half_pixel",
    )  # fmt: skip


def _normalise(nodes: _NodeList, images: str, processing: PrePostProcessing) -> str:
    """Normalise rows of pixels as vectors, since three channels are too short to vectorise."""
    height, width = processing.image_size
    std, mean = np.asarray(processing.std), np.asarray(processing.mean)
    scale = nodes.constant(np.tile(1 / (255 * std), width), np.float32)
    shift = nodes.constant(np.tile(-mean / std, width), np.float32)
    channels = len(processing.std)
    rows = nodes.add("Reshape", images, nodes.constant((0, height, width * channels), np.int64))
    rows = nodes.add("Add", nodes.add("Mul", rows, scale), shift)
    return nodes.add("Reshape", rows, nodes.constant((0, height, width, channels), np.int64))


def _pool(nodes: _NodeList, output: str, layer: Layer, processing: PrePostProcessing) -> list[str]:
    """Add the nodes that pool a layer; return one tensor (n, channels) for each block."""
    blocks = list_pooled_blocks(layer, processing.pooling, processing.grid)
    if layer.kind == "vector":
        return [output]
    maps, pooled = _to_map(nodes, output, layer), []
    cells: dict[tuple[int, int], str] = {}
    means: dict[tuple[int, int], str] = {}
    for block in blocks:
        if block.pool == "cls":
            token = _slice(nodes, output, 1, (0, 1))
            pooled.append(nodes.add("Flatten", token, axis=1))
            continue
        if block.cell not in cells:
            cells[block.cell] = _cut_cell(nodes, maps, layer, block)
        if block.pool in ("mean", "std") and block.cell not in means:
            means[block.cell] = nodes.add("GlobalAveragePool", cells[block.cell])
        value = _pool_cell(nodes, cells[block.cell], block, means)
        pooled.append(nodes.add("Flatten", value, axis=1))
    return pooled


def _to_map(nodes: _NodeList, output: str, layer: Layer) -> str:
    if layer.kind == "tokens":
        length = layer.n_prefix + layer.sides[0] * layer.sides[1]
        patches = output
        if layer.n_prefix:
            patches = _slice(nodes, output, 1, (layer.n_prefix, length))
        channels_first = nodes.add("Transpose", patches, perm=[0, 2, 1])
        shape = nodes.constant((0, layer.n_channels, *layer.sides), np.int64)
        return nodes.add("Reshape", channels_first, shape)
    if layer.channels_last:
        return nodes.add("Transpose", output, perm=[0, 3, 1, 2])
    return output


def _cut_cell(nodes: _NodeList, maps: str, layer: Layer, block: PooledBlock) -> str:
    for axis, side, part in zip((2, 3), layer.sides, (block.rows, block.columns), strict=True):
        if part != (0, side):
            maps = _slice(nodes, maps, axis, part)
    return maps


def _slice(nodes: _NodeList, tensor: str, axis: int, part: tuple[int, int]) -> str:
    start, end, axes = (nodes.constant([v], np.int64) for v in (*part, axis))
    return nodes.add("Slice", tensor, start, end, axes)


def _pool_cell(
    nodes: _NodeList, cell: str, block: PooledBlock, means: dict[tuple[int, int], str]
) -> str:
    if block.pool == "mean":
        return means[block.cell]
    if block.pool == "std":
        centred = nodes.add("Sub", cell, means[block.cell])
        return nodes.add("Sqrt", nodes.add("GlobalAveragePool", nodes.add("Mul", centred, centred)))
    if block.pool == "max":
        return nodes.add("GlobalMaxPool", cell)
    floor = nodes.constant(GEM_FLOOR, np.float32)
    positive = nodes.add("Max", cell, floor)
    cube = nodes.add("Pow", positive, nodes.constant(GEM_POWER, np.float32))
    root = nodes.constant(1 / GEM_POWER, np.float32)
    return nodes.add("Pow", nodes.add("GlobalAveragePool", cube), root)
