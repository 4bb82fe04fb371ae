"""Converters for scikit-learn's SVC and NuSVC: matrix products in float32 or float64."""

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.svm import SVC, NuSVC

from imgfeat._compat.skl2onnx import find_native
from imgfeat._compat.skl2onnx_types import ModelComponentContainer, Operator, Scope, Variable
from imgfeat._compat.sklearn_fitted import get_svc_gamma
from imgfeat.export.converters.base_head import (
    HEADS,
    OPTIONS,
    Head,
    Skl2onnxHead,
    convert_head,
    infer_head,
)
from imgfeat.export.converters.base_svm import PairwiseHead, add_kernel, expand_pairs
from imgfeat.export.converters.registry import register
from imgfeat.ops.nodes import Nodes


class SVCHead(PairwiseHead):
    """A kernel to the support vectors or, for a linear kernel, one product with the features."""

    def __init__(self, nodes: Nodes, estimator: BaseEstimator, X: Variable):
        super().__init__(nodes, estimator, X)
        self.decision_shape = estimator.decision_function_shape
        self.break_ties = estimator.break_ties and self.decision_shape == "ovr"

    def _product(self) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
        model = self.estimator
        if len(model.classes_) == 2:
            coefficients = model.dual_coef_.T
        else:
            coefficients = expand_pairs(model.dual_coef_, model.n_support_)
        if model.kernel == "linear":
            return self.features, model.support_vectors_.T @ coefficients, model.intercept_
        kernel = add_kernel(
            self,
            model.support_vectors_,
            model.kernel,
            gamma=get_svc_gamma(model),
            coef0=model.coef0,
            degree=model.degree,
        )
        return kernel, coefficients, model.intercept_


class PlattHead(Skl2onnxHead):
    """An SVC with ``probability=True``: SVMClassifier couples the pairwise probabilities."""

    alias: str = "SklearnSVC"


def _find_head(nodes: Nodes, estimator: BaseEstimator, X: Variable) -> Head:
    head = PlattHead if hasattr(estimator, "predict_proba") else SVCHead
    return head(nodes, estimator, X)


def _is_from_skl2onnx(operator: Operator) -> bool:
    """Return whether this is the operator of skl2onnx's converter, which `PlattHead` declares."""
    return operator.type == PlattHead.alias and hasattr(operator.raw_operator, "predict_proba")


def _infer(operator: Operator) -> None:
    native = _is_from_skl2onnx(operator)
    (find_native(PlattHead.alias).infer if native else infer_head)(operator)


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    native = _is_from_skl2onnx(operator)
    convert = find_native(PlattHead.alias).convert if native else convert_head
    convert(scope, operator, container)


for _kind in (SVC, NuSVC):
    HEADS[_kind] = _find_head
    register(_kind, _infer, _convert, options=OPTIONS)
