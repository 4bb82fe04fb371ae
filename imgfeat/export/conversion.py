"""Conversion of the steps of a pipeline to one graph, by skl2onnx."""

from typing import TYPE_CHECKING

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from imgfeat._optional import import_optional
from imgfeat.export.converters.registry import load_converters
from imgfeat.export.errors import ExportError
from imgfeat.export.model_file import INPUT
from imgfeat.export.plan import Plan, Steps
from imgfeat.ops.model import OPSETS

if TYPE_CHECKING:
    from onnx import ModelProto
    from skl2onnx.common.data_types import DataType


def convert(
    plan: Plan, *, count: int | None = None, double: bool = False, any_size: bool = False
) -> "ModelProto":
    """Convert the first steps of a plan, or all of them.

    Parameters
    ----------
    plan : Plan
    count : int, default=None
        Number of steps to convert; None converts all.
    double : bool, default=False
        Compute in double precision from the first step that is fitted to data.
    any_size : bool, default=False
        Take images of any size, and resize them in the graph as the plan's ImageLoader does.

    Returns
    -------
    model : onnx.ModelProto
        From "images" to "label" and, if there are any, "probabilities" or "scores"; or to
        "features".

    Raises
    ------
    ExportError
        If one of the steps cannot be converted; the exception that skl2onnx or a converter raised
        is its cause.
    """
    try:
        return _convert(plan.steps[:count], plan, double, any_size)
    except Exception as error:  # converters of other libraries raise any exception
        raise ExportError(_explain(error)) from error


def _convert(steps: Steps, plan: Plan, double: bool, any_size: bool) -> "ModelProto":
    skl2onnx = import_optional("skl2onnx", extra="export")
    types = skl2onnx.common.data_types
    if double:
        first = plan.count_stateless()
        cast = skl2onnx.sklapi.CastTransformer(dtype=np.float64)
        steps = [*steps[:first], ("to_double", cast), *steps[first:]]
    shape: list[int | None] = [None, *plan.shape]
    if any_size:
        shape[1:3] = None, None
        steps = [("imageloader", plan.loader), *steps]
    last = steps[-1][1]
    model = convert_estimator(Pipeline(steps), [(INPUT, types.UInt8TensorType(shape))])
    names = _name_outputs(last)
    del model.graph.output[len(names) :]
    _rename_outputs(model, names)
    return model


def convert_estimator(
    estimator: BaseEstimator,
    initial_types: "list[tuple[str, DataType]]",
    target_opset: int | dict[str, int] = OPSETS,
) -> "ModelProto":
    """Convert an estimator by imgfeat's converters, and by skl2onnx's where imgfeat has none.

    The converters registered with skl2onnx are not changed.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    initial_types : list of (str, skl2onnx type)
    target_opset : int or dict, default={"": 20, "ai.onnx.ml": 3}

    Returns
    -------
    model : onnx.ModelProto
    """
    skl2onnx = import_optional("skl2onnx", extra="export")
    from imgfeat.export.converters.parsing import make_parsers

    converters = load_converters()
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    options = {} if type(last) in converters else {"zipmap": False}
    return skl2onnx.convert_sklearn(
        estimator,
        initial_types=initial_types,
        target_opset=target_opset,
        options={id(last): options} if hasattr(last, "predict") else None,
        custom_conversion_functions={kind: own.convert for kind, own in converters.items()},
        custom_shape_calculators={kind: own.infer for kind, own in converters.items()},
        custom_parsers=make_parsers(),
    )


def _name_outputs(step: BaseEstimator) -> list[str]:
    """Return the names of the outputs of a graph that ends in `step`."""
    if not hasattr(step, "predict"):
        return ["features"]
    if hasattr(step, "predict_proba"):
        return ["label", "probabilities"]
    return ["label", "scores"] if hasattr(step, "decision_function") else ["label"]


def _rename_outputs(model: "ModelProto", names: list[str]) -> None:
    renamed = {value.name: name for value, name in zip(model.graph.output, names, strict=True)}
    for value in model.graph.output:
        value.name = renamed[value.name]
    for node in model.graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [renamed.get(tensor, tensor) for tensor in tensors]


def _explain(error: Exception) -> str:
    exceptions = import_optional("skl2onnx", extra="export").common.exceptions
    if isinstance(error, exceptions.MissingShapeCalculator | exceptions.MissingConverter):
        return "there is no converter for it, or for an estimator inside of it."
    return f"{' '.join(str(error).split())[:400].rstrip('.')}."
