"""imgfeat's converters put into skl2onnx's own table, for users who ask for it."""

from collections.abc import Callable
from typing import Any

from skl2onnx import update_registered_converter
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.svm import SVC, NuSVC

from imgfeat.export.private_skl2onnx import find_alias, find_native
from imgfeat.export.registry import LEAST_OPSET, Converter, load_converters

# skl2onnx converts them, but other labels come out.
REPLACED = (SVC, NuSVC, HistGradientBoostingClassifier)
LEAST_ML_OPSET = 3
KNOWN_OPTIONS = ("zipmap", "output_class_labels", "raw_scores")


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
    """Leave to skl2onnx what imgfeat's converter does not take: options, and old operator sets."""
    native = find_native(known)

    def infer(operator: Any) -> None:
        (converter.infer if _takes(operator) else native.infer)(operator)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        take: Callable = converter.convert if _takes(operator) else native.convert
        take(scope, operator, container)

    update_registered_converter(
        kind, alias, infer, convert, overwrite=True, options=native.options
    )


def _takes(operator: Any) -> bool:
    """Tell whether the operator sets and options are those that imgfeat's converters know."""
    opsets = operator.target_opset
    main, ml = (opsets, None) if isinstance(opsets, int) else (opsets[""], opsets.get("ai.onnx.ml"))
    new = main >= LEAST_OPSET and (ml is None or ml >= LEAST_ML_OPSET)
    options = operator.scope_inst.get_options(operator.raw_operator, fail=False) or {}
    return new and all(name in KNOWN_OPTIONS or not value for name, value in options.items())
