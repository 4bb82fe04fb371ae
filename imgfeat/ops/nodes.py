"""Addition of nodes and constants to a graph that skl2onnx builds."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from imgfeat._optional import import_optional

# The shape of an image: (h, w) or (h, w, c).
Shape = tuple[int, ...]


class Nodes:
    """Adds nodes and constants with unique names to a graph.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        Provides unique names.
    container : skl2onnx.common._container.ModelComponentContainer
        Receives nodes; constants of equal content are stored once for the whole graph.
    """

    def __init__(self, scope: Any, container: Any):
        self.scope = scope
        self.container = container
        if not hasattr(container, "imgfeat_constants"):
            container.imgfeat_constants = {}

    def add(
        self,
        kind: str,
        *inputs: str,
        output: str | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node with one output and return the output's name.

        Parameters
        ----------
        kind : str
            The operator, such as "Conv".
        *inputs : str
            Names of tensors; "" for an optional input that is omitted.
        output : str, default=None
            Name of the output; None makes one.
        domain : str, default=""
            Operator domain: "" for ONNX itself, "ai.onnx.ml" for its machine learning operators.
        **attributes : object
            Attributes of the node.

        Returns
        -------
        output : str
        """
        (name,) = self.add_several(kind, inputs, outputs=[output], domain=domain, **attributes)
        return name

    def add_several(
        self,
        kind: str,
        inputs: Sequence[str],
        *,
        outputs: list[str | None],
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node with several outputs and return their names; None makes a name."""
        names = [output or self._name(kind) for output in outputs]
        self.container.add_node(
            kind, list(inputs), names, op_domain=domain, name=self._name(f"N_{kind}"), **attributes
        )
        return names

    def constant(self, value: ArrayLike, dtype: DTypeLike) -> str:
        """Return the name of a constant, which is added unless one of equal content exists."""
        onnx = import_optional("onnx", extra="export")
        array = np.ascontiguousarray(value, dtype=dtype).reshape(np.shape(value))
        known = self.container.imgfeat_constants
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in known:
            known[key] = self._name("constant")
            self.container.add_initializer(
                known[key], None, None, onnx.numpy_helper.from_array(array)
            )
        return known[key]

    def cast(self, tensor: str, dtype: DTypeLike) -> str:
        """Convert a tensor to another dtype."""
        onnx = import_optional("onnx", extra="export")
        return self.add("Cast", tensor, to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, tensor: str, *shape: int) -> str:
        """Reshape a tensor; 0 keeps a dimension, -1 infers it."""
        return self.add("Reshape", tensor, self.constant(shape, np.int64))

    def slice(self, tensor: str, axis: int, start: int, end: int) -> str:
        """Return the part from `start` up to, not including, `end` along one axis."""
        bounds = (self.constant([v], np.int64) for v in (start, end, axis))
        return self.add("Slice", tensor, *bounds)

    def crop(
        self, tensor: str, axes: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> str:
        """Return the part from `starts` up to, not including, `ends` along several axes."""
        bounds = (self.constant(v, np.int64) for v in (starts, ends, axes))
        return self.add("Slice", tensor, *bounds)

    def split(self, tensor: str, axis: int, n_parts: int) -> list[str]:
        """Split a tensor into equal parts along one axis."""
        names: list[str | None] = [None] * n_parts
        return self.add_several("Split", [tensor], outputs=names, axis=axis, num_outputs=n_parts)

    def _name(self, kind: str) -> str:
        return self.scope.get_unique_variable_name(f"imgfeat_{kind.lower()}")


class Emit(Protocol):
    """A function that adds the nodes of a transformer of images to a graph."""

    def __call__(self, nodes: Nodes, transformer: Any, images: str, shape: Shape, /) -> str:
        """Add the nodes that compute the features.

        Parameters
        ----------
        nodes : Nodes
        transformer : ImageTransformer
        images : str
            Name of a tensor (n, *shape), uint8.
        shape : tuple
            (h, w), or (h, w, c) with c in {1, 3}.

        Returns
        -------
        features : str
            Name of a tensor (n, d), float32.

        Raises
        ------
        NotImplementedError
            For settings that no graph can compute; the message gives the reason.
        """
