"""Private interfaces of skl2onnx: parsers, and the registry of converters."""

from collections.abc import Callable
from typing import Any, NamedTuple

from skl2onnx._parse import (
    _parse_sklearn,
    _parse_sklearn_classifier,
    _parse_sklearn_simple_model,
)
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common._topology import Scope

parse_estimator = _parse_sklearn
parse_classifier = _parse_sklearn_classifier
parse_simple = _parse_sklearn_simple_model


class Native(NamedTuple):
    """A converter that comes with skl2onnx."""

    infer: Callable
    convert: Callable
    options: dict[str, Any] | None


def find_alias(kind: type) -> str | None:
    """Return the name under which skl2onnx knows an estimator, or None."""
    return sklearn_operator_name_map.get(kind)


def find_native(alias: str) -> Native:
    """Return what skl2onnx has under a name."""
    convert = get_converter(alias)
    return Native(get_shape_calculator(alias), convert, convert.get_allowed_options())


def has_own_converters(scope: Scope) -> bool:
    """Return whether a graph is written by `imgfeat.export.conversion`, not by skl2onnx.to_onnx."""
    return bool(scope.custom_shape_calculators)
