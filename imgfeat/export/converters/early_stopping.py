"""Converter for EarlyStopped: the nodes of its booster."""

from imgfeat._compat.skl2onnx_types import Variable
from imgfeat.export.converters.base_head import Head, find_head, register_head
from imgfeat.heads.early_stopping import EarlyStopped
from imgfeat.ops.nodes import Nodes


def _find_head(nodes: Nodes, estimator: EarlyStopped, X: Variable) -> Head:
    # The booster's labels are positions in `classes_`, as those of heads are.
    return find_head(nodes, estimator.estimator_, X)


register_head(EarlyStopped, _find_head)
