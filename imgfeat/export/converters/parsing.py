"""Parsers that declare operators under aliases of imgfeat's own, which skl2onnx does not use."""

import functools

from sklearn.base import BaseEstimator

from imgfeat._compat.skl2onnx import has_own_converters, parse_simple
from imgfeat._compat.skl2onnx_types import Scope, Variable
from imgfeat.export.converters.registry import Parsers, load_converters


def list_parsers(scope: Scope) -> Parsers | None:
    """Return parsers for nested estimators, or None to use those registered with skl2onnx."""
    return make_parsers() if has_own_converters(scope) else None


@functools.cache
def make_parsers() -> Parsers:
    """Return a parser for each estimator that imgfeat has a converter for."""
    return {kind: own.parser or parse_own for kind, own in load_converters().items()}


def parse_own(
    scope: Scope,
    model: BaseEstimator,
    inputs: list[Variable],
    custom_parsers: Parsers | None = None,
) -> list[Variable]:
    """Declare one operator, under an alias that is not registered with skl2onnx."""
    alias = f"Imgfeat{type(model).__name__}"
    return parse_simple(scope, model, inputs, custom_parsers=custom_parsers, alias=alias)
