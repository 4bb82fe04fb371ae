"""Base class of converters for fitted steps."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.base import BaseEstimator

from imgfeat._compat.skl2onnx_types import Variable
from imgfeat.ops.nodes import Nodes


class Step:
    """One fitted step, whose nodes compute in the float type of its features.

    Parameters
    ----------
    nodes : Nodes
    estimator : estimator
        Fitted.
    X : skl2onnx.common._topology.Variable
        Features (n, d), float32 or float64.
    """

    def __init__(self, nodes: Nodes, estimator: BaseEstimator, X: Variable):
        self.nodes = nodes
        self.estimator = estimator
        self.X = X
        self.features = X.full_name
        self.dtype = np.float64 if isinstance(X.type, DoubleTensorType) else np.float32

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node: see `Nodes.add`."""
        return self.nodes.add(kind, *inputs, **attributes)

    def floats(self, value: ArrayLike) -> str:
        """Add a constant in the float type of the features."""
        return self.nodes.constant(value, self.dtype)

    def add_sum(self, parts: list[str]) -> str:
        """Return the sum of tensors."""
        return parts[0] if len(parts) == 1 else self.add("Sum", *parts)

    def join(self, parts: list[str]) -> str:
        """Concatenate the columns of tensors."""
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, axis=1)

    def declare(self, tensor: str) -> Variable:
        """Return features as a skl2onnx Variable, for an operator that skl2onnx converts."""
        return declare(self.nodes, tensor, self.dtype)

    def select(self, columns: NDArray[np.intp]) -> str:
        """Return some columns of the features: by a slice, if they are consecutive."""
        first, last = int(columns[0]), int(columns[-1])
        if np.array_equal(columns, np.arange(first, last + 1)):
            return self.nodes.slice(self.features, 1, first, last + 1)
        return self.add("Gather", self.features, self.nodes.constant(columns, np.int64), axis=1)


def declare(nodes: Nodes, tensor: str, dtype: DTypeLike) -> Variable:
    """Return a tensor (n, d) as a skl2onnx Variable."""
    kind = DoubleTensorType if dtype == np.float64 else FloatTensorType
    variable = nodes.scope.declare_local_variable("imgfeat_features", kind([None, None]))
    nodes.add("Identity", tensor, output=variable.full_name)
    return variable
