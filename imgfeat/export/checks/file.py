"""Check that a file contains only what `to_onnx` writes, before ONNX Runtime loads it.

ONNX Runtime trusts a file in many ways: it opens other files that this one names, allocates memory
of any size that shapes request, repeats loops, and follows the indices of tree nodes without a
check of their range. The hash inside the file detects damage but not malice, since the author of a
malicious file can write a matching hash.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from imgfeat.export.checks.constant import MAX_ELEMENTS, Constant, check_node
from imgfeat.export.checks.operators import OPERATORS
from imgfeat.export.checks.tree import check_trees
from imgfeat.export.checks.wire_format import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Field,
    Message,
    WireError,
    read_message,
)

MAX_RANK = 16
MAX_DEPTH = 8

_ONE, _SOME = Field(BYTES), Field(BYTES, repeated=True)
_NUMBER, _NUMBERS = Field(VARINT), Field(VARINT, repeated=True)
_SINGLES, _DOUBLES = Field(FIXED32, repeated=True), Field(FIXED64, repeated=True)

_MODEL = {1: _NUMBER, 2: _ONE, 3: _ONE, 4: _ONE, 5: _NUMBER, 6: _ONE, 7: _ONE, 8: _SOME, 14: _SOME}
_ENTRY = {1: _ONE, 2: _ONE}
_OPSET = {1: _ONE, 2: _NUMBER}
_GRAPH = {1: _SOME, 2: _ONE, 5: _SOME, 10: _ONE, 11: _SOME, 12: _SOME, 13: _SOME, 16: _SOME}
_NODE = {1: _SOME, 2: _SOME, 3: _ONE, 4: _ONE, 5: _SOME, 6: _ONE, 7: _ONE, 8: _ONE, 9: _SOME}
_ATTRIBUTE = {
    1: _ONE, 2: Field(FIXED32), 3: _NUMBER, 4: _ONE, 5: _ONE, 6: _ONE, 7: _SINGLES, 8: _NUMBERS,
    9: _SOME, 13: _ONE, 20: _NUMBER,
}  # fmt: skip
_TENSOR = {
    1: _NUMBERS, 2: _NUMBER, 4: _SINGLES, 5: _NUMBERS, 6: _SOME, 7: _NUMBERS, 8: _ONE, 9: _ONE,
    10: _DOUBLES, 11: _NUMBERS, 12: _ONE, 13: _SOME, 14: _NUMBER, 16: _SOME,
}  # fmt: skip
_VALUE = {1: _ONE, 2: _ONE, 3: _ONE, 4: _SOME}
_TYPE = {1: _ONE, 6: _ONE}
_TENSOR_TYPE = {1: _NUMBER, 2: _ONE}
_SHAPE = {1: _SOME}
_SIDE = {1: _NUMBER, 2: _ONE, 3: _ONE}

# For each type of attribute, the field that holds it: a number, a string, a tensor, a graph, or
# several of these.
_HOLDERS = {1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 8: 9}
_STRING = 8
# For each type of tensor, the bytes of an element, and the field that holds elements that are not
# raw bytes.
_TYPES = {
    1: (4, 4), 2: (1, 5), 3: (1, 5), 4: (2, 5), 5: (2, 5), 6: (4, 5), 7: (8, 7), 8: (0, 6),
    9: (1, 5), 10: (2, 5), 11: (8, 10), 12: (4, 11), 13: (8, 11), 16: (2, 5),
}  # fmt: skip
# Types of tensors that may be sizes or scales, and the largest number of elements of such a tensor.
_SIZE_TYPES = {1: "<f4", 6: "<i4", 7: "<i8", 11: "<f8"}
MAX_SIZE_VALUES = 64


class Node(NamedTuple):
    """A node of a graph: an operator with its inputs, outputs and attributes."""

    kind: str
    domain: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


def read_entries(model: bytes) -> dict[str, str]:
    """Return the entries of a file's metadata.

    Raises
    ------
    WireError
        If the file is damaged or not an ONNX file.
    """
    entries = {}
    for part in read_message(memoryview(model), _MODEL).get(14, []):
        entry = read_message(part, _ENTRY)
        entries[_read_text(entry, 1)] = _read_text(entry, 2)
    return entries


def check_file(model: bytes) -> None:
    """Raise WireError, with the reason, if a file contains anything that `to_onnx` does not write.

    Parameters
    ----------
    model : bytes
    """
    content = read_message(memoryview(model), _MODEL)
    for part in content.get(8, []):
        _read_text(read_message(part, _OPSET), 1)
    if 7 not in content:
        raise WireError("it has no graph")
    for key in (2, 3, 4):
        _read_text(content, key)
    _check_graph(content[7], {}, 0)


def _check_graph(data: memoryview, outer: dict[str, Constant], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise WireError("graphs nested too deeply")
    graph = read_message(data, _GRAPH)
    constants = dict(outer)
    for part in graph.get(5, []):
        name, constant = _check_tensor(part)
        constants[name] = constant
    for part in (*graph.get(11, []), *graph.get(12, []), *graph.get(13, [])):
        _check_value(part)
    for part in graph.get(1, []):
        node = _read_node(part, constants, depth)
        check_node(node, constants)
        if node.kind == "Constant" and isinstance(node.attributes.get("value"), Constant):
            constants.update(dict.fromkeys(node.outputs, node.attributes["value"]))
        check_trees(node.kind, node.attributes)


def _read_node(data: memoryview, constants: dict[str, Constant], depth: int) -> Node:
    fields = read_message(data, _NODE)
    kind, domain = _read_text(fields, 4), _read_text(fields, 7)
    if domain == "ai.onnx":
        domain = ""
    if kind not in OPERATORS.get(domain, ()) or _read_text(fields, 8):
        full = f"{domain}.{kind}" if domain else kind
        raise WireError(f"operator {full[:80]!r}, which imgfeat does not write")
    attributes: dict[str, Any] = {}
    for part in fields.get(5, []):
        name, value = _read_attribute(part, kind, constants, depth)
        if name in attributes:
            raise WireError(f"attribute {name!r} occurs twice")
        attributes[name] = value
    inputs, outputs = ([_decode(name) for name in fields.get(number, [])] for number in (1, 2))
    _read_text(fields, 3)
    return Node(kind, domain, inputs, outputs, attributes)


def _read_attribute(
    data: memoryview, kind: str, constants: dict[str, Constant], depth: int
) -> tuple[str, Any]:
    fields = read_message(data, _ATTRIBUTE)
    name, type_ = _read_text(fields, 1), fields.get(20, 0)
    holder = _HOLDERS.get(type_)
    if holder is None or not set(fields) <= {1, 13, 20, holder}:
        raise WireError(f"attribute {name[:80]!r} of {kind} has a type that imgfeat does not write")
    value = fields.get(holder)
    if holder == 6:
        # A Scan runs once for each row of its input; nested Scans would multiply these numbers.
        if value is None or not (kind == "If" or (kind == "Scan" and depth == 0)):
            raise WireError(f"a graph within {kind}")
        _check_graph(value, constants, depth + 1)
        return name, None
    if holder == 5:
        if value is None:
            raise WireError(f"attribute {name[:80]!r} of {kind} is empty")
        return name, _check_tensor(value)[1]
    return name, value


def _check_tensor(data: memoryview) -> tuple[str, Constant]:
    """Return a tensor's name and shape, and its elements if they may be sizes or scales."""
    tensor = read_message(data, _TENSOR)
    name = _read_text(tensor, 8)
    if 13 in tensor or tensor.get(14, 0):
        raise WireError(f"tensor {name[:80]!r} is stored in another file")
    sides = [int(side) for side in tensor.get(1, ())]
    size, holder = _TYPES.get(tensor.get(2, 0), (0, 0))
    if not holder or len(sides) > MAX_RANK or min(sides, default=0) < 0:
        raise WireError(f"tensor {name[:80]!r} is of a type or shape that imgfeat does not write")
    count = math.prod(sides)
    found = [number for number in (4, 5, 6, 7, 9, 10, 11) if number in tensor]
    values: Any = tensor.get(9, tensor.get(holder, ()))
    wanted = count * size if 9 in tensor else count
    if found not in ([9], [holder], []) or (9 in tensor and not size) or len(values) != wanted:
        raise WireError(f"tensor {name[:80]!r} does not hold the {count} elements of its shape")
    if tensor[2] == _STRING:
        for value in values:
            _decode(value)
    kind = _SIZE_TYPES.get(tensor[2])
    if kind is None or count > MAX_SIZE_VALUES:
        return name, Constant(tuple(sides))
    if 9 in tensor:
        numbers = np.frombuffer(values, kind)
    else:
        array = np.asarray(values)
        numbers = array.view(kind) if holder in (4, 10) else array.astype(kind)
    with np.errstate(invalid="ignore"):
        return name, Constant(tuple(sides), numbers.astype(np.float64))


def _check_value(data: memoryview) -> None:
    """Check the declaration of an input, an output or a tensor between nodes."""
    value = read_message(data, _VALUE)
    name = _read_text(value, 1)
    if 2 not in value:
        return
    type_ = read_message(value[2], _TYPE)
    if 1 not in type_:
        raise WireError(f"{name[:80]!r} is not a tensor")
    tensor = read_message(type_[1], _TENSOR_TYPE)
    sides = read_message(tensor[2], _SHAPE).get(1, []) if 2 in tensor else []
    lengths = [read_message(side, _SIDE) for side in sides]
    for side in lengths:
        _read_text(side, 2)
    known = [side[1] for side in lengths if 1 in side]
    if (
        tensor.get(1, 0) not in _TYPES
        or min(known, default=0) < 0
        or math.prod(known) > MAX_ELEMENTS
        or len(sides) > MAX_RANK
    ):
        raise WireError(f"{name[:80]!r} has a type or shape that imgfeat does not write")


def _read_text(fields: Message, number: int) -> str:
    return _decode(fields.get(number, b""))


def _decode(data: memoryview | bytes) -> str:
    try:
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise WireError("a name that is not valid UTF-8") from error
