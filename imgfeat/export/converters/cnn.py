"""Converter for CNNEmbedding: the network's graph is inserted into the pipeline's graph."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skl2onnx.common.data_types import FloatTensorType

from imgfeat._compat.skl2onnx_types import ModelComponentContainer, Operator, Scope
from imgfeat._optional import import_optional
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.onnx.graph_store import fetch_graph
from imgfeat.export.converters.registry import find_shape, register
from imgfeat.features.cnn import CNNEmbedding
from imgfeat.ops.nodes import Nodes, Shape
from imgfeat.ops.splicing import splice

if TYPE_CHECKING:
    from onnx import ModelProto, TensorShapeProto, ValueInfoProto


def load_graph(embedding: CNNEmbedding, shape: Shape) -> "ModelProto":
    """Return the graph that computes an embedding of images of a given shape.

    It is the graph of the "onnx" engine, in int8 if the embedding's precision is "int8", else in
    fp32, also for an embedding that runs in torch with half precision.

    Parameters
    ----------
    embedding : CNNEmbedding
    shape : (h, w) or (h, w, c)

    Returns
    -------
    model : onnx.ModelProto
        From "images" (n, h, w, c), uint8, to "features" (n, d), float32.

    Raises
    ------
    NotImplementedError
        If the network takes batches of one fixed length only.
    BackboneError
        If the network takes images with another number of channels.
    """
    precision = "int8" if embedding.precision == "int8" else "fp32"
    model = _parse(fetch_graph(embedding._settings(), precision, (shape[0], shape[1])))
    batch, *sides = (side.dim_value for side in _list_sides(model.graph.input))
    if batch:
        raise NotImplementedError(
            f"{embedding.backbone} takes only batches of {batch} image(s). Export the network "
            "again with a free first dimension."
        )
    channels = shape[2] if len(shape) == 3 else 1
    if channels not in (1, sides[2]):
        raise BackboneError(
            f"{embedding.backbone} takes images of {sides[2]} channel(s), got {channels}. Use "
            "ImageLoader(color='gray')."
        )
    return model


@functools.lru_cache(maxsize=2)
def _parse(content: bytes) -> "ModelProto":
    return import_optional("onnx").load_model_from_string(content)


def _list_sides(values: Sequence["ValueInfoProto"]) -> Sequence["TensorShapeProto.Dimension"]:
    """Return the sides of the first input or output of a graph."""
    return values[0].type.tensor_type.shape.dim


def _infer(operator: Operator) -> None:
    model = load_graph(operator.raw_operator, find_shape(operator))
    n_features = _list_sides(model.graph.output)[1].dim_value
    operator.outputs[0].type = FloatTensorType([None, n_features])


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    nodes, shape = Nodes(scope, container), find_shape(operator)
    model = load_graph(operator.raw_operator, shape)
    images = operator.inputs[0].full_name
    if operator.inputs[0].type.shape[1:] != [*shape] or len(shape) == 2:
        images = nodes.reshape(images, -1, *shape[:2], shape[2] if len(shape) == 3 else 1)
    channels = _list_sides(model.graph.input)[3].dim_value
    if channels != (shape[2] if len(shape) == 3 else 1):
        images = nodes.add("Concat", *[images] * channels, axis=3)
    (features,) = splice(nodes, model, {model.graph.input[0].name: images}, "cnn_")
    nodes.add("Identity", features, output=operator.outputs[0].full_name)


register(CNNEmbedding, _infer, _convert)
