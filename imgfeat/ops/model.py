"""Models of one part by itself, from uint8 images to float32 features."""

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from imgfeat._optional import import_optional
from imgfeat.ops.nodes import Nodes, Shape

if TYPE_CHECKING:
    import onnx

OPSETS = {"": 20, "ai.onnx.ml": 3}


def make_model(
    emit: Callable[[Nodes, str], str], shape: Shape, n_features: int
) -> "onnx.ModelProto":
    """Build a model from "images" (n, *shape), uint8, to "features" (n, n_features), float32.

    Parameters
    ----------
    emit : callable
        ``emit(nodes, images)`` adds nodes and returns the name of the features.
    shape : (h, w) or (h, w, c)
        Shape of one image.
    n_features : int

    Returns
    -------
    model : onnx.ModelProto

    Raises
    ------
    MissingExtraError
        If onnx is not installed.

    Examples
    --------
    >>> from imgfeat.ops.model import make_model
    >>> def scale(nodes, images):
    ...     flat = nodes.cast(nodes.reshape(images, -1, 4), "float32")
    ...     return nodes.add("Div", flat, nodes.constant(255, "float32"))
    >>> [node.op_type for node in make_model(scale, (2, 2), 4).graph.node]
    ['Reshape', 'Cast', 'Div', 'Identity']
    """
    onnx = import_optional("onnx", extra="export")
    helper, types = onnx.helper, onnx.TensorProto
    graph = _Graph()
    nodes = Nodes(graph, graph)
    nodes.add("Identity", emit(nodes, "images"), output="features")
    images = helper.make_tensor_value_info("images", types.UINT8, ["n", *shape])
    features = helper.make_tensor_value_info("features", types.FLOAT, ["n", n_features])
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    return helper.make_model(
        helper.make_graph(graph.nodes, "features", [images], [features], graph.initializers),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
    )


class _Graph:
    """Has the methods of skl2onnx's scope and container that `Nodes` calls."""

    target_opset_onnx = OPSETS[""]

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._numbers = itertools.count()

    def get_unique_variable_name(self, seed: str) -> str:
        return f"{seed}_{next(self._numbers)}"

    def add_node(
        self,
        op_type: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        op_domain: str = "",
        name: str | None = None,
        **attributes: Any,
    ) -> None:
        helper = import_optional("onnx", extra="export").helper
        self.nodes.append(
            helper.make_node(op_type, inputs, outputs, name, domain=op_domain, **attributes)
        )

    def add_initializer(
        self, name: str, onnx_type: None, shape: None, content: "onnx.TensorProto"
    ) -> None:
        content.name = name
        self.initializers.append(content)
