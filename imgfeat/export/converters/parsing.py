"""Parsers that declare operators under aliases of imgfeat's own, which skl2onnx does not use."""

import functools
from typing import Any

from imgfeat._compat.skl2onnx import has_own_converters, parse_simple
from imgfeat.export.converters.registry import load_converters


def list_parsers(scope: Any) -> dict[type, Any] | None:
    """Return parsers for nested estimators, or None to use those registered with skl2onnx."""
    return make_parsers() if has_own_converters(scope) else None


@functools.cache
def make_parsers() -> dict[type, Any]:
    """Return a parser for each estimator that imgfeat has a converter for."""
    return {kind: own.parser or parse_own for kind, own in load_converters().items()}


def parse_own(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare one operator, under an alias that is not registered with skl2onnx."""
    alias = f"Imgfeat{type(model).__name__}"
    return parse_simple(scope, model, inputs, custom_parsers=custom_parsers, alias=alias)
