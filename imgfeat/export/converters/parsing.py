"""How imgfeat's own conversions declare operators: under names of their own."""

import functools
from typing import Any

from imgfeat._compat.skl2onnx import has_own_converters, parse_simple
from imgfeat.export.converters.registry import load_converters


def list_parsers(scope: Any) -> dict[type, Any] | None:
    """Return parsers for what is inside of an estimator; None leaves it to skl2onnx."""
    return make_parsers() if has_own_converters(scope) else None


@functools.cache
def make_parsers() -> dict[type, Any]:
    """Return a parser for each estimator that imgfeat has a converter of."""
    return {kind: own.parser or parse_own for kind, own in load_converters().items()}


def parse_own(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Declare one operator, under a name that skl2onnx has nothing under."""
    alias = f"Imgfeat{type(model).__name__}"
    return parse_simple(scope, model, inputs, custom_parsers=custom_parsers, alias=alias)
