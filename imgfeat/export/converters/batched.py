"""Converter for Batched: the nodes of the transformer inside, since callers batch the images."""

from imgfeat._compat.skl2onnx import parse_estimator
from imgfeat._compat.skl2onnx_types import ModelComponentContainer, Operator, Scope, Variable
from imgfeat.batching import Batched
from imgfeat.export.converters.registry import Parsers, register


def _parse(
    scope: Scope, model: Batched, inputs: list[Variable], custom_parsers: Parsers | None = None
) -> list[Variable]:
    inside = getattr(model, "transformer_", model.transformer)
    return parse_estimator(scope, inside, inputs, custom_parsers=custom_parsers)


def _infer(operator: Operator) -> None:
    raise AssertionError("Batched is parsed into the transformer inside of it.")


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    raise AssertionError("Batched is parsed into the transformer inside of it.")


register(Batched, _infer, _convert, parser=_parse)
