"""ImageLoader as nodes: images of its own size pass, others are converted and resized."""

from typing import Any

from skl2onnx.common.data_types import UInt8TensorType

from imgfeat.export.nodes import Nodes
from imgfeat.export.registry import find_shape, register
from imgfeat.loading import ImageLoader


def _infer(operator: Any) -> None:
    loader = operator.raw_operator
    channels = (3,) if loader.color == "rgb" else ()
    operator.outputs[0].type = UInt8TensorType([None, *loader._target_size(), *channels])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    nodes = Nodes(scope, container)
    loader, shape = operator.raw_operator, find_shape(operator)
    wanted = (*loader._target_size(), *((3,) if loader.color == "rgb" else ()))
    if shape != wanted:
        raise NotImplementedError(f"ImageLoader from {shape} to {wanted}")
    nodes.add("Identity", operator.inputs[0].full_name, output=operator.outputs[0].full_name)


register(ImageLoader, _infer, _convert)
