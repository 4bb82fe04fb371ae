"""Graphs that take images of any size: resizing as nodes in front of a verified graph."""

from typing import TYPE_CHECKING

from imgfeat.export.conversion import convert
from imgfeat.export.errors import ExportError
from imgfeat.export.model_file import INPUT
from imgfeat.export.plan import Plan
from imgfeat.export.verification.graph_outputs import (
    OutputComparison,
    compare_outputs,
    open_graph,
    run_session,
)
from imgfeat.images.samples import sample_images

if TYPE_CHECKING:
    from onnx import ModelProto

# Number of images that are compared for each size.
N_IMAGES = 2


def check_loader(plan: Plan) -> None:
    """Raise ExportError if the pipeline has no leading ImageLoader."""
    if plan.loader is None:
        raise ExportError(
            "resize=True: the pipeline has no ImageLoader in front, which determines the size to "
            "resize to. Put ImageLoader(size) in front, or export with resize=False."
        )


def take_any_size(
    plan: Plan, model: "ModelProto", *, double: bool
) -> tuple["ModelProto", tuple[tuple[int, int], ...]]:
    """Return a graph that resizes images itself, and the image sizes for which it was compared.

    Parameters
    ----------
    plan : Plan
    model : onnx.ModelProto
        The plan's graph, which takes images of one size.
    double : bool
        Whether the graph computes in double precision.

    Returns
    -------
    resizing : onnx.ModelProto
    sizes : tuple of (int, int)

    Raises
    ------
    ExportError
        If its outputs differ from those of `model` on images that the ImageLoader resized.
    """
    resizing = convert(plan, double=double, any_size=True)
    size = (plan.shape[0], plan.shape[1])
    _name_dimensions(resizing)
    fixed, free = (open_graph(graph.SerializeToString()) for graph in (model, resizing))
    sizes = _list_sizes(*size)
    for sides in sizes:
        images = sample_images(N_IMAGES, (*sides, 3 if len(plan.shape) == 3 else 1))
        images = images.reshape(N_IMAGES, *sides, *plan.shape[2:])
        assert plan.loader is not None
        resized = plan.loader.transform(list(images))
        *_, (_, _, expected) = run_session(fixed, resized)
        for _, rows, outputs in run_session(free, images):
            compared = compare_outputs(expected, outputs, rows)
            if compared.mismatched.any():
                raise ExportError(_describe(sides, size, compared))
    return resizing, sizes


def _list_sizes(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return sizes of every kind: whole multiples, larger, smaller, and larger on one side only."""
    return (
        (height, width),
        (2 * height, 2 * width),
        (3 * height, 3 * width),
        (3 * height + 1, 2 * width + 5),
        (height // 2 + 1, width // 3 + 1),
        (height // 2 + 1, 3 * width + 2),
        (2 * height + 3, width // 2 + 1),
    )


def _name_dimensions(model: "ModelProto") -> None:
    (value,) = (value for value in model.graph.input if value.name == INPUT)
    for side, name in zip(value.type.tensor_type.shape.dim, ("n", "height", "width"), strict=False):
        side.dim_param = name


def _describe(sides: tuple[int, int], size: tuple[int, int], compared: OutputComparison) -> str:
    return (
        f"resize=True: images of {sides[0]} x {sides[1]} pixels, resized to {size[0]} x {size[1]} "
        "in the graph, do not give the outputs of images that the ImageLoader resizes: largest "
        f"difference {compared.differences.max():.1e}. Nothing was written."
    )
