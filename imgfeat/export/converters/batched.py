"""Converter for Batched: the nodes of the transformer inside, since callers batch the images."""

from typing import Any

from imgfeat._compat.skl2onnx import parse_estimator
from imgfeat.batching import Batched
from imgfeat.export.converters.registry import register


def _parse(scope: Any, model: Batched, inputs: Any, custom_parsers: Any = None) -> Any:
    inside = getattr(model, "transformer_", model.transformer)
    return parse_estimator(scope, inside, inputs, custom_parsers=custom_parsers)


def _infer(operator: Any) -> None:
    raise AssertionError("Batched is parsed into the transformer inside of it.")


def _convert(scope: Any, operator: Any, container: Any) -> None:
    raise AssertionError("Batched is parsed into the transformer inside of it.")


register(Batched, _infer, _convert, parser=_parse)
