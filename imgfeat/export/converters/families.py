"""FamilyColumns as nodes: a slice, or where columns lie apart, a gathering of them."""

from typing import Any

import numpy as np
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from imgfeat.export.heads import select_columns
from imgfeat.export.nodes import Nodes
from imgfeat.export.registry import register
from imgfeat.heads.families import FamilyColumns


def _infer(operator: Any) -> None:
    double = isinstance(operator.inputs[0].type, DoubleTensorType)
    kind = DoubleTensorType if double else FloatTensorType
    width = len(operator.raw_operator.columns_)
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    nodes = Nodes(scope, container)
    columns = select_columns(
        nodes, operator.inputs[0].full_name, np.asarray(operator.raw_operator.columns_)
    )
    nodes.add("Identity", columns, output=operator.outputs[0].full_name)


register(FamilyColumns, _infer, _convert)
