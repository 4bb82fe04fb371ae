"""Insertion of other models' graphs into the graph that skl2onnx builds."""

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from imgfeat._optional import import_optional
from imgfeat.ops.nodes import Nodes

if TYPE_CHECKING:
    import onnx

# Kinds of numpy dtypes for which `Nodes.constant` can share equal constants.
_SHARED_KINDS = "biuf"


def splice(nodes: Nodes, model: "onnx.ModelProto", feeds: dict[str, str], prefix: str) -> list[str]:
    """Add another model's nodes to the graph and return the names of its outputs.

    A node that the graph already contains, with the same inputs, is not added again: layers that
    several models have in common are computed once.

    Parameters
    ----------
    nodes : Nodes
    model : onnx.ModelProto
    feeds : dict
        Maps each of the model's inputs to a tensor of the graph.
    prefix : str
        Prefix of the names of the model's tensors in the graph.

    Returns
    -------
    outputs : list of str

    Raises
    ------
    NotImplementedError
        If the model cannot be converted to the opset of the graph.
    """
    container = nodes.container
    model = _bring_to_opset(model, container.target_opset_onnx)
    if not hasattr(container, "imgfeat_nodes"):
        container.imgfeat_nodes = {}
        container.ensure_topological_order = lambda: sort_nodes(container)
    splicing = _Splicing(nodes, model, feeds, prefix)
    for node in model.graph.node:
        splicing.take(node)
    return [splicing.find(value.name) for value in model.graph.output]


class _Splicing:
    """Insertion of one model into the graph.

    Constants and nodes that dequantise weights are added with the first new node that reads them:
    onnxruntime refuses quantised weights that two nodes share.
    """

    def __init__(self, nodes: Nodes, model: "onnx.ModelProto", feeds: dict[str, str], prefix: str):
        self.nodes, self.prefix = nodes, prefix
        self.versions = {entry.domain: entry.version for entry in model.opset_import}
        self.names = {**feeds, "": ""}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.weights: dict[str, onnx.NodeProto] = {}

    def take(self, node: "onnx.NodeProto") -> None:
        """Add a node, or find the equal node that the graph already contains."""
        if node.op_type == "DequantizeLinear" and all(
            name in self.constants for name in node.input if name
        ):
            self.weights[node.output[0]] = node
            return
        known = self.nodes.container.imgfeat_nodes
        key = self._describe(node)
        if key not in known:
            known[key] = self._add(node)
        self.names.update(zip(node.output, known[key], strict=True))

    def find(self, name: str) -> str:
        """Return the name in the graph of a tensor of the model."""
        if name not in self.names:
            if name in self.weights:
                (self.names[name],) = self._add(self.weights[name])
            elif name in self.constants:
                self.names[name] = _add_constant(self.nodes, self.constants[name])
        return self.names[name]

    def _add(self, node: "onnx.NodeProto") -> list[str]:
        container, scope = self.nodes.container, self.nodes.scope
        copy = type(node)()
        copy.CopyFrom(node)
        copy.input[:] = [self.find(name) for name in node.input]
        _rename_within(copy, {name: self.find(name) for name in _list_reads(node)})
        copy.output[:] = [
            name and scope.get_unique_variable_name(self.prefix + name) for name in node.output
        ]
        copy.name = scope.get_unique_operator_name(self.prefix + (node.name or node.op_type))
        container.nodes.append(copy)
        for inner in (copy, *_walk_within(copy)):
            version = self.versions[inner.domain]
            version = _find_version(inner.op_type, version, inner.domain) or version
            container.node_domain_version_pair_sets.add((inner.domain, version))
        return list(copy.output)

    def _describe(self, node: "onnx.NodeProto") -> tuple[Any, ...]:
        """Return a key that is equal for nodes that compute the same."""
        reads = [self._identify(name) for name in (*node.input, *sorted(_list_reads(node)))]
        outputs = tuple(bool(name) for name in node.output)
        attributes = sorted(entry.SerializeToString() for entry in node.attribute)
        return (node.domain, node.op_type, outputs, *reads, *attributes)

    def _identify(self, name: str) -> Any:
        if name in self.constants:
            tensor = self.constants[name]
            content = import_optional("onnx").numpy_helper.to_array(tensor).tobytes()
            return (tensor.data_type, tuple(tensor.dims), hashlib.sha256(content).digest())
        if name in self.weights:
            return self._describe(self.weights[name])
        return self.names[name]


def sort_nodes(container: Any) -> None:
    """Sort nodes so that each comes after the nodes whose outputs it reads.

    skl2onnx's own function takes omitted optional inputs for missing ones, and ignores tensors that
    the graphs inside of loops and branches read.
    """
    known = {value.name for value in (*container.inputs, *container.initializers)}
    waiting = [(node, _list_reads(node)) for node in container.nodes]
    ordered: list[Any] = []
    while waiting:
        later = []
        for node, reads in waiting:
            if reads <= known:
                ordered.append(node)
                known.update(node.output)
            else:
                later.append((node, reads))
        if len(later) == len(waiting):
            missing = {name for _, reads in later for name in reads} - known
            raise RuntimeError(f"No node computes the tensors {', '.join(sorted(missing))}.")
        waiting = later
    container.nodes = ordered


def _bring_to_opset(model: "onnx.ModelProto", opset: int) -> "onnx.ModelProto":
    """Return an equivalent model of another opset, without model-local functions."""
    onnx = import_optional("onnx")
    if model.functions:
        model = import_optional("onnx.inliner").inline_local_functions(model)
    (own,) = (entry.version for entry in model.opset_import if not entry.domain)
    kinds = {node.op_type for node in _walk(model.graph) if not node.domain}
    if all(_find_version(kind, own) == _find_version(kind, opset) for kind in kinds):
        return model
    try:
        return import_optional("onnx.version_converter").convert_version(model, opset)
    except (RuntimeError, onnx.version_converter.ConvertError) as error:
        cause = " ".join(str(error).split())[:200]
        raise NotImplementedError(
            f"This network is a graph of opset {own} and cannot be converted to opset {opset} "
            f"({cause}). Pass target_opset={own} to skl2onnx, or export the network again with a "
            "newer opset."
        ) from error


def _find_version(kind: str, opset: int, domain: str = "") -> int | None:
    """Return the version of an operator at an opset, or None if it does not exist there."""
    defs = import_optional("onnx").defs
    try:
        return defs.get_schema(kind, opset, domain).since_version
    except defs.SchemaError:
        return None


def _add_constant(nodes: Nodes, tensor: "onnx.TensorProto") -> str:
    array = import_optional("onnx").numpy_helper.to_array(tensor)
    if array.dtype.kind in _SHARED_KINDS and array.itemsize > 1:
        return nodes.constant(array, array.dtype)
    copy = type(tensor)()
    copy.CopyFrom(tensor)
    copy.name = nodes.scope.get_unique_variable_name("imgfeat_constant")
    nodes.container.initializers.append(copy)
    return copy.name


def _rename_within(node: "onnx.NodeProto", names: dict[str, str]) -> None:
    """Rename the outer tensors that loops and branches read, unless an inner name shadows them."""
    for graph in _list_graphs(node):
        own = {value.name for value in (*graph.input, *graph.initializer)}
        own |= {name for inner in graph.node for name in inner.output}
        visible = {name: new for name, new in names.items() if name not in own}
        for inner in graph.node:
            inner.input[:] = [visible.get(name, name) for name in inner.input]
            _rename_within(inner, visible)
        for value in graph.output:
            value.name = visible.get(value.name, value.name)


def _list_reads(node: "onnx.NodeProto") -> set[str]:
    """Return the outer tensors that a node, or a graph inside of it, reads."""
    reads = set(node.input)
    for graph in _list_graphs(node):
        own = {value.name for value in (*graph.input, *graph.initializer)}
        own |= {name for inner in graph.node for name in inner.output}
        wanted = {value.name for value in graph.output}
        wanted |= {name for inner in graph.node for name in _list_reads(inner)}
        reads |= wanted - own
    return reads - {""}


def _list_graphs(node: "onnx.NodeProto") -> list["onnx.GraphProto"]:
    graphs = [entry.g for entry in node.attribute if entry.HasField("g")]
    return graphs + [graph for entry in node.attribute for graph in entry.graphs]


def _walk_within(node: "onnx.NodeProto") -> Iterable["onnx.NodeProto"]:
    for graph in _list_graphs(node):
        yield from _walk(graph)


def _walk(graph: "onnx.GraphProto") -> Iterable["onnx.NodeProto"]:
    for node in graph.node:
        yield node
        yield from _walk_within(node)
