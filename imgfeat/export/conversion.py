"""Conversion of the steps of a pipeline to one graph, by skl2onnx."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat._optional import import_optional
from imgfeat.export.converters.registry import load_converters
from imgfeat.export.errors import ExportError
from imgfeat.export.model_file import INPUT
from imgfeat.export.plan import Plan
from imgfeat.ops.model import OPSETS

ADVICE = (
    "Register a converter for it, skl2onnx.update_registered_converter(TheClass, 'TheClass', "
    "infer_shapes, convert), for a classifier with options={'zipmap': [True, False]}: see "
    "https://onnx.ai/sklearn-onnx/pipeline.html; or export the steps before it with "
    "allow_partial=True."
)


def convert(
    plan: Plan, *, count: int | None = None, double: bool = False, any_size: bool = False
) -> Any:
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


def _convert(steps: list[tuple[str, Any]], plan: Plan, double: bool, any_size: bool) -> Any:
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
    names = name_outputs(last)
    del model.graph.output[len(names) :]
    _rename_outputs(model, names)
    return model


def convert_estimator(estimator: Any, initial_types: Any, target_opset: Any = OPSETS) -> Any:
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


def name_outputs(step: Any) -> list[str]:
    """Return the names of the outputs of a graph that ends in `step`."""
    if not hasattr(step, "predict"):
        return ["features"]
    if hasattr(step, "predict_proba"):
        return ["label", "probabilities"]
    return ["label", "scores"] if hasattr(step, "decision_function") else ["label"]


def convert_leading_steps(plan: Plan, *, allow_partial: bool) -> tuple[Plan, Any, tuple[str, ...]]:
    """Convert all steps of a plan or, if allowed, those before the first that has no converter.

    Parameters
    ----------
    plan : Plan
    allow_partial : bool

    Returns
    -------
    plan : Plan
        The steps that were converted.
    model : onnx.ModelProto
    left_out : tuple of str
        Names of the steps that were not.

    Raises
    ------
    ExportError
        If a step cannot be converted and `allow_partial` is False, or it is the first step.
    """
    try:
        return plan, convert(plan), ()
    except ExportError as whole:
        count, error = count_convertible(plan)
        if not allow_partial or count == 0:
            raise (error or whole) from None
    left_out = tuple(name for name, _ in plan.steps[count:])
    plan = Plan(plan.steps[:count], plan.loader, plan.images)
    return plan, convert(plan), left_out


def count_convertible(plan: Plan) -> tuple[int, ExportError | None]:
    """Return the number of leading steps that can be converted, and the error of the next one."""
    for count in range(1, len(plan.steps) + 1):
        try:
            convert(plan, count=count)
        except ExportError as error:
            name, step = plan.steps[count - 1]
            name, step, cause = _find_within(plan, count - 1, name, step, error)
            return count - 1, ExportError(
                f"Step {count} of {len(plan.steps)}, {name} ({type(step).__name__}), cannot be "
                f"converted to ONNX: {cause} {ADVICE}"
            )
    return len(plan.steps), None


def _find_within(
    plan: Plan, before: int, name: str, step: Any, error: ExportError
) -> tuple[str, Any, ExportError]:
    """Find the part of a FeatureUnion that cannot be converted: its name, the part, the error."""
    if isinstance(step, FeatureUnion):
        for inner, part in step.transformer_list:
            steps: Sequence[Any] = part.steps if isinstance(part, Pipeline) else [("", part)]
            for count in range(1, len(steps) + 1):
                tried = [*plan.steps[:before], *steps[:count]]
                try:
                    convert(Plan(list(tried), plan.loader, plan.images))
                except ExportError as found:
                    label, culprit = steps[count - 1]
                    place = "__".join(filter(None, (name, inner, label)))
                    return _find_within(plan, before, place, culprit, found)
    return name, step, error


def _explain(error: Exception) -> str:
    exceptions = import_optional("skl2onnx", extra="export").common.exceptions
    if isinstance(error, exceptions.MissingShapeCalculator | exceptions.MissingConverter):
        return "there is no converter for it, or for an estimator inside of it."
    return f"{' '.join(str(error).split())[:400].rstrip('.')}."


def _rename_outputs(model: Any, names: list[str]) -> None:
    renamed = {value.name: name for value, name in zip(model.graph.output, names, strict=True)}
    for value in model.graph.output:
        value.name = renamed[value.name]
    for node in model.graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [renamed.get(tensor, tensor) for tensor in tensors]
