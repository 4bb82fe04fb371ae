"""The leading steps of a pipeline that can be converted, and the step that cannot."""

from typing import TYPE_CHECKING

from sklearn.base import BaseEstimator
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat.export.conversion import convert
from imgfeat.export.errors import ExportError
from imgfeat.export.plan import Plan, Steps

if TYPE_CHECKING:
    from onnx import ModelProto

ADVICE = (
    "Register a converter for it, skl2onnx.update_registered_converter(TheClass, 'TheClass', "
    "infer_shapes, convert), for a classifier with options={'zipmap': [True, False]}: see "
    "https://onnx.ai/sklearn-onnx/pipeline.html; or export the steps before it with "
    "allow_partial=True."
)


def convert_leading_steps(
    plan: Plan, *, allow_partial: bool
) -> tuple[Plan, "ModelProto", tuple[str, ...]]:
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
        count, error = _count_convertible(plan)
        if not allow_partial or count == 0:
            raise (error or whole) from None
    left_out = tuple(name for name, _ in plan.steps[count:])
    plan = Plan(plan.steps[:count], plan.loader, plan.images)
    return plan, convert(plan), left_out


def _count_convertible(plan: Plan) -> tuple[int, ExportError | None]:
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
    plan: Plan, before: int, name: str, step: BaseEstimator, error: ExportError
) -> tuple[str, BaseEstimator, ExportError]:
    """Find the part of a FeatureUnion that cannot be converted: its name, the part, the error."""
    if isinstance(step, FeatureUnion):
        for inner, part in step.transformer_list:
            steps: Steps = part.steps if isinstance(part, Pipeline) else [("", part)]
            for count in range(1, len(steps) + 1):
                tried = [*plan.steps[:before], *steps[:count]]
                try:
                    convert(Plan(list(tried), plan.loader, plan.images))
                except ExportError as found:
                    label, failing = steps[count - 1]
                    place = "__".join(filter(None, (name, inner, label)))
                    return _find_within(plan, before, place, failing, found)
    return name, step, error
