"""Nodes and constants of a graph that skl2onnx is writing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from imgfeat._optional import import_optional

# Of an image, or of what becomes of one: (h, w), (h, w, c).
Shape = tuple[int, ...]


class Nodes:
    """Adds nodes and constants to a graph, under names that nobody else uses.

    Parameters
    ----------
    scope : skl2onnx.common._topology.Scope
        Gives names.
    container : skl2onnx.common._container.ModelComponentContainer
        Takes nodes; constants of equal content are kept once for the whole graph.
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
        """Add a node of one output and return the name of that.

        Parameters
        ----------
        kind : str
            Such as "Conv".
        *inputs : str
            Names of tensors; "" is an input that is left out.
        output : str, default=None
            Name of the result, where it is fixed.
        domain : str, default=""
            "" is ONNX itself, "ai.onnx.ml" its operators for classical models.
        **attributes : object
            Of the node.

        Returns
        -------
        output : str
        """
        (name,) = self.add_several(kind, inputs, outputs=[output], domain=domain, **attributes)
        return name

    def add_several(
        self,
        kind: str,
        inputs: Any,
        *,
        outputs: list[str | None],
        domain: str = "",
        **attributes: Any,
    ) -> list[str]:
        """Add a node of several outputs and return their names; None is a name to be made up."""
        names = [output or self._name(kind) for output in outputs]
        self.container.add_node(
            kind, list(inputs), names, op_domain=domain, name=self._name(f"N_{kind}"), **attributes
        )
        return names

    def constant(self, value: ArrayLike, dtype: DTypeLike) -> str:
        """Add a constant, unless there is one of the same content, and return its name."""
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
        """Convert a tensor's numbers."""
        onnx = import_optional("onnx", extra="export")
        return self.add("Cast", tensor, to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reshape(self, tensor: str, *shape: int) -> str:
        """Give a tensor another shape; 0 keeps a dimension, -1 is what remains."""
        return self.add("Reshape", tensor, self.constant(shape, np.int64))

    def slice(self, tensor: str, axis: int, start: int, end: int) -> str:
        """Cut from `start` to before `end` along one axis."""
        bounds = (self.constant([v], np.int64) for v in (start, end, axis))
        return self.add("Slice", tensor, *bounds)

    def crop(
        self, tensor: str, axes: Sequence[int], starts: Sequence[int], ends: Sequence[int]
    ) -> str:
        """Cut from `starts` to before `ends` along several axes."""
        bounds = (self.constant(v, np.int64) for v in (starts, ends, axes))
        return self.add("Slice", tensor, *bounds)

    def split(self, tensor: str, axis: int, n_parts: int) -> list[str]:
        """Cut into equal parts along one axis."""
        names: list[str | None] = [None] * n_parts
        return self.add_several("Split", [tensor], outputs=names, axis=axis, num_outputs=n_parts)

    def _name(self, kind: str) -> str:
        return self.scope.get_unique_variable_name(f"imgfeat_{kind.lower()}")
