"""Converter for ImageLoader: colour conversion and resizing; graphs do not decode files."""

from skl2onnx.common.data_types import UInt8TensorType

from imgfeat._compat.skl2onnx_types import ModelComponentContainer, Operator, Scope
from imgfeat.export.converters.registry import find_shape, register
from imgfeat.images.loading import ImageLoader
from imgfeat.ops.gray import to_gray
from imgfeat.ops.nodes import Nodes, Shape
from imgfeat.ops.resizing import resize
from imgfeat.ops.resizing_any_size import resize_any_size


def load(nodes: Nodes, loader: ImageLoader, images: str, shape: Shape) -> str:
    """Convert the colours of images, then resize them, as an ImageLoader does with arrays.

    Parameters
    ----------
    nodes : Nodes
    loader : ImageLoader
    images : str
        Name of a tensor (n, *shape), uint8.
    shape : (h, w) or (h, w, c), c in {1, 3}

    Returns
    -------
    loaded : str
        Name of a tensor (n, height, width, 3), or (n, height, width) for color="gray", uint8.
    """
    if loader.value_range != "dtype":
        raise NotImplementedError(
            f"ImageLoader(value_range={loader.value_range!r}) cannot be part of a graph, which "
            "takes 8-bit pixels. Make it the first step of the pipeline, where it stays outside of "
            "the graph."
        )
    size = loader._target_size()
    in_color = len(shape) == 3 and shape[2] == 3
    if loader.color == "gray" or not in_color:
        images, shape = to_gray(nodes, images, shape), shape[:2]
    if shape[:2] != size:
        images = resize(nodes, images, shape, size, loader.resize)
    if loader.color == "rgb" and not in_color:
        images = nodes.add("Concat", *[nodes.reshape(images, -1, *size, 1)] * 3, axis=3)
    return images


def _infer(operator: Operator) -> None:
    loader = operator.raw_operator
    channels = (3,) if loader.color == "rgb" else ()
    operator.outputs[0].type = UInt8TensorType([None, *loader._target_size(), *channels])


def _load_any_size(nodes: Nodes, loader: ImageLoader, images: str, n_axes: int) -> str:
    in_color = n_axes == 4
    if in_color != (loader.color == "rgb"):
        wanted = "(n, h, w, 3)" if loader.color == "rgb" else "(n, h, w)"
        raise NotImplementedError(
            f"ImageLoader(color={loader.color!r}) in a graph for images of any size takes {wanted}."
        )
    size = loader._target_size()
    return resize_any_size(nodes, images, size, loader.resize, in_color=in_color)


def _has_any_size(operator: Operator) -> bool:
    shape = operator.inputs[0].type.shape
    return len(shape) in (3, 4) and shape[1] is None and shape[2] is None


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    nodes, images = Nodes(scope, container), operator.inputs[0]
    output = operator.outputs[0].full_name
    if _has_any_size(operator):
        n_axes = len(images.type.shape)
        loaded = _load_any_size(nodes, operator.raw_operator, images.full_name, n_axes)
        nodes.add("Identity", loaded, output=output)
        return
    shape = find_shape(operator)
    if len(shape) == 3 and shape[2] not in (1, 3):
        raise NotImplementedError(
            f"ImageLoader in a graph takes images of 1 or 3 channels, got {shape}. Remove the "
            "alpha channel first, for example with Pillow's convert('RGB')."
        )
    loaded = load(nodes, operator.raw_operator, images.full_name, shape)
    nodes.add("Identity", loaded, output=output)


register(ImageLoader, _infer, _convert)
