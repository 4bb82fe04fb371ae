"""Reading of ONNX files whose weights are in other files, which must be in the same folder."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imgfeat._optional import import_optional
from imgfeat.backbones.errors import BackboneError

if TYPE_CHECKING:
    import onnx


def read_model(path: str | os.PathLike[str]) -> "onnx.ModelProto":
    """Read an ONNX file and the files of weights that it names.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    model : onnx.ModelProto
        The model with all weights in memory.

    Raises
    ------
    BackboneError
        If the model names a file outside its own folder, or a symbolic link.
    """
    onnx = import_optional("onnx")
    model = onnx.load(path, load_external_data=False)
    folder = Path(path).resolve().parent
    outside = False
    for tensor in _list_tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location":
                _check_location(path, folder, entry.value)
        outside |= bool(tensor.external_data)
    if outside:
        onnx.load_external_data_for_model(model, str(folder))
    return model


def _check_location(path: str | os.PathLike[str], folder: Path, location: str) -> None:
    if location != os.path.basename(location) or (folder / location).is_symlink():
        raise BackboneError(
            f"{path} keeps weights in {location!r}, which is no regular file in its own folder. If "
            "you trust it, write it as one file: onnx.save(onnx.load(path), new_path)."
        )


def _list_tensors(model: "onnx.ModelProto") -> Iterator["onnx.TensorProto"]:
    yield from _list_graph_tensors(model.graph)
    for function in model.functions:
        yield from _list_node_tensors(function.node)


def _list_graph_tensors(graph: "onnx.GraphProto") -> Iterator["onnx.TensorProto"]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _list_node_tensors(graph.node)


def _list_node_tensors(nodes: Iterable["onnx.NodeProto"]) -> Iterator["onnx.TensorProto"]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for graph in (attribute.g, *attribute.graphs):
                yield from _list_graph_tensors(graph)
