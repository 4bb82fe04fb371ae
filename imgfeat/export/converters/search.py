"""Converter for hyperparameter searches: the nodes of their best estimator."""

from sklearn.base import BaseEstimator, is_classifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
)

from imgfeat._compat.skl2onnx import has_own_converters, parse_estimator
from imgfeat._compat.skl2onnx_types import Scope, Variable
from imgfeat.export.converters.base_head import (
    HEADS,
    OPTIONS,
    Head,
    convert_head,
    find_head,
    infer_head,
)
from imgfeat.export.converters.registry import Parsers, register
from imgfeat.ops.nodes import Nodes
from imgfeat.tuning import OptunaSearchCV


def _find_head(nodes: Nodes, search: BaseEstimator, X: Variable) -> Head:
    return find_head(nodes, search.best_estimator_, X)


def _parse(
    scope: Scope,
    model: BaseEstimator,
    inputs: list[Variable],
    custom_parsers: Parsers | None = None,
) -> list[Variable]:
    best = model.best_estimator_
    if is_classifier(best) and not has_own_converters(scope):
        zipmap = scope.get_options(model, {"zipmap": True})["zipmap"]
        scope.add_options(id(best), {"zipmap": zipmap})
    return parse_estimator(scope, best, inputs, custom_parsers=custom_parsers)


for _kind in (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    OptunaSearchCV,
):
    HEADS[_kind] = _find_head
    register(_kind, infer_head, convert_head, parser=_parse, options=OPTIONS)
