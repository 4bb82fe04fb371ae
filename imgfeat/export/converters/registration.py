"""Registration of imgfeat's converters with skl2onnx, for `register_converters`."""

from collections.abc import Callable

from skl2onnx import update_registered_converter
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.svm import SVC, NuSVC

from imgfeat._compat.skl2onnx import Native, find_alias, find_native
from imgfeat._compat.skl2onnx_types import ModelComponentContainer, Operator, Scope
from imgfeat.export.converters.registry import MIN_OPSET, Converter, load_converters

MIN_ML_OPSET = 3
KNOWN_OPTIONS = ("zipmap", "output_class_labels", "raw_scores")


def _is_wrong_for_svc(estimator: BaseEstimator) -> bool:
    """Return whether skl2onnx's converter predicts other labels: it ignores break_ties."""
    one_label = not hasattr(estimator, "predict_proba") and len(estimator.classes_) > 2
    ties = estimator.break_ties and estimator.decision_function_shape == "ovr"
    # Large coefficients of linear SVMs cancel each other, for which single precision is not enough.
    return one_label and (ties or (isinstance(estimator, NuSVC) and estimator.kernel == "linear"))


# Estimators for which skl2onnx's converter predicts other labels, with a condition.
REPLACED: dict[type, Callable[[BaseEstimator], bool]] = {
    SVC: _is_wrong_for_svc,
    NuSVC: _is_wrong_for_svc,
    HistGradientBoostingClassifier: lambda estimator: True,
}


def register_with_skl2onnx() -> None:
    """Register converters that skl2onnx lacks, and replace those that predict other labels."""
    for kind, converter in load_converters().items():
        alias = f"Imgfeat{kind.__name__}"
        known = find_alias(kind)
        if known is None:
            update_registered_converter(
                kind,
                alias,
                converter.infer,
                converter.convert,
                overwrite=True,
                parser=converter.parser,
                options=converter.options,
            )
        elif kind in REPLACED and known != alias:
            _replace(kind, alias, known, converter)


def _replace(kind: type, alias: str, known: str, converter: Converter) -> None:
    """Register a converter that falls back to skl2onnx's where that is correct or the only one."""
    native, is_wrong = find_native(known), REPLACED[kind]

    def choose(operator: Operator) -> Converter | Native:
        return converter if is_wrong(operator.raw_operator) and _takes(operator) else native

    def infer(operator: Operator) -> None:
        choose(operator).infer(operator)

    def convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
        choose(operator).convert(scope, operator, container)

    update_registered_converter(kind, alias, infer, convert, overwrite=True, options=native.options)


def _takes(operator: Operator) -> bool:
    """Return whether imgfeat's converters support the operator sets and options."""
    opsets = operator.target_opset
    main, ml = (opsets, None) if isinstance(opsets, int) else (opsets[""], opsets.get("ai.onnx.ml"))
    new = main >= MIN_OPSET and (ml is None or ml >= MIN_ML_OPSET)
    options = operator.scope_inst.get_options(operator.raw_operator, fail=False) or {}
    return new and all(name in KNOWN_OPTIONS or not value for name, value in options.items())
