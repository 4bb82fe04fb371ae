"""imgfeat's converters put into skl2onnx's own table, for users who ask for it."""

from collections.abc import Callable
from typing import Any

from skl2onnx import update_registered_converter
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.svm import SVC, NuSVC

from imgfeat._compat.skl2onnx import find_alias, find_native
from imgfeat.export.converters.registry import MIN_OPSET, Converter, load_converters

MIN_ML_OPSET = 3
KNOWN_OPTIONS = ("zipmap", "output_class_labels", "raw_scores")


def _is_wrong_for_svc(estimator: Any) -> bool:
    """Tell whether skl2onnx gives other labels: it does not know break_ties."""
    one_label = not hasattr(estimator, "predict_proba") and len(estimator.classes_) > 2
    ties = estimator.break_ties and estimator.decision_function_shape == "ovr"
    # Large coefficients of linear machines cancel, which single precision does not survive.
    return one_label and (ties or (isinstance(estimator, NuSVC) and estimator.kernel == "linear"))


# What skl2onnx converts, but so that other labels come out, and when.
REPLACED: dict[type, Callable[[Any], bool]] = {
    SVC: _is_wrong_for_svc,
    NuSVC: _is_wrong_for_svc,
    HistGradientBoostingClassifier: lambda estimator: True,
}


def register_with_skl2onnx() -> None:
    """Register what skl2onnx does not know, and what it does wrongly."""
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
    """Leave to skl2onnx what it does right, and what imgfeat's converter does not take."""
    native, is_wrong = find_native(known), REPLACED[kind]

    def choose(operator: Any) -> Any:
        return converter if is_wrong(operator.raw_operator) and _takes(operator) else native

    def infer(operator: Any) -> None:
        choose(operator).infer(operator)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        choose(operator).convert(scope, operator, container)

    update_registered_converter(kind, alias, infer, convert, overwrite=True, options=native.options)


def _takes(operator: Any) -> bool:
    """Tell whether the operator sets and options are those that imgfeat's converters know."""
    opsets = operator.target_opset
    main, ml = (opsets, None) if isinstance(opsets, int) else (opsets[""], opsets.get("ai.onnx.ml"))
    new = main >= MIN_OPSET and (ml is None or ml >= MIN_ML_OPSET)
    options = operator.scope_inst.get_options(operator.raw_operator, fail=False) or {}
    return new and all(name in KNOWN_OPTIONS or not value for name, value in options.items())
