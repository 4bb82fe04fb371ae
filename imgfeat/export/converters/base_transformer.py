"""Registration of converters for transformers of features."""

from collections.abc import Callable

from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.base import BaseEstimator

from imgfeat._compat.skl2onnx_types import ModelComponentContainer, Operator, Scope
from imgfeat.export.converters.base_step import Step
from imgfeat.export.converters.registry import register
from imgfeat.ops.nodes import Nodes


def register_transformer(
    kind: type, count: Callable[[BaseEstimator], int], emit: Callable[[Step], str]
) -> None:
    """Register a converter for a transformer of features (n, d) to features of the same float type.

    Parameters
    ----------
    kind : type
    count : callable
        Returns the number of output features of a fitted transformer.
    emit : callable
        Adds the nodes of a step, and returns the name of the result.
    """

    def infer(operator: Operator) -> None:
        X, double = operator.inputs[0], isinstance(operator.inputs[0].type, DoubleTensorType)
        shape = [X.get_first_dimension(), count(operator.raw_operator)]
        operator.outputs[0].type = (DoubleTensorType if double else FloatTensorType)(shape)

    def convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
        nodes = Nodes(scope, container)
        result = emit(Step(nodes, operator.raw_operator, operator.inputs[0]))
        nodes.add("Identity", result, output=operator.outputs[0].full_name)

    register(kind, infer, convert)
