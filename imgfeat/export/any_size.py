"""Graphs that take images of any size: the ImageLoader's resizing in front of a proven graph."""

from typing import Any

import numpy as np

from imgfeat.export.conversion import convert
from imgfeat.export.errors import ExportError
from imgfeat.export.model_file import INPUT
from imgfeat.export.plan import Plan
from imgfeat.export.verification.outputs import Answers, ask_session, compare_answers, open_graph
from imgfeat.images.samples import sample_images

N_IMAGES = 2


def check_loader(plan: Plan) -> None:
    """Raise ExportError if no ImageLoader says how to resize."""
    if plan.loader is None:
        raise ExportError(
            "resize=True: the pipeline has no ImageLoader in front that says to which size. Put "
            "ImageLoader(size) there, or export with resize=False."
        )


def take_any_size(plan: Plan, model: Any, *, double: bool) -> tuple[Any, tuple[tuple, ...]]:
    """Return a graph that resizes by itself, and the sizes for which it was compared.

    Parameters
    ----------
    plan : Plan
    model : onnx.ModelProto
        The plan's graph, which takes images of one size.
    double : bool
        As for `convert`.

    Returns
    -------
    whole : onnx.ModelProto
    sizes : tuple of (int, int)

    Raises
    ------
    ExportError
        If the two do not give the same.
    """
    whole = convert(plan, double=double, any_size=True)
    size = (plan.shape[0], plan.shape[1])
    _name_sides(whole)
    fixed, free = (open_graph(graph.SerializeToString()) for graph in (model, whole))
    sizes = _list_sizes(*size)
    for sides in sizes:
        images = sample_images(N_IMAGES, (*sides, 3 if len(plan.shape) == 3 else 1))
        images = images.reshape(N_IMAGES, *sides, *plan.shape[2:])
        assert plan.loader is not None
        resized = plan.loader.transform(list(images))
        *_, (_, _, expected) = ask_session(fixed, resized)
        for _, rows, answers in ask_session(free, images):
            if compare_answers(expected, answers, rows).wrong.any():
                raise ExportError(_describe(sides, size, expected, answers, rows))
    return whole, sizes


def _list_sizes(height: int, width: int) -> tuple[tuple[int, int], ...]:
    """Return sizes that are whole multiples, larger, smaller, and larger along one side alone."""
    return (
        (height, width),
        (2 * height, 2 * width),
        (3 * height, 3 * width),
        (3 * height + 1, 2 * width + 5),
        (height // 2 + 1, width // 3 + 1),
        (height // 2 + 1, 3 * width + 2),
        (2 * height + 3, width // 2 + 1),
    )


def _name_sides(model: Any) -> None:
    (value,) = (value for value in model.graph.input if value.name == INPUT)
    for side, name in zip(value.type.tensor_type.shape.dim, ("n", "height", "width"), strict=False):
        side.dim_param = name


def _describe(
    sides: tuple[int, int],
    size: tuple[int, int],
    expected: Answers,
    answers: Answers,
    rows: np.ndarray,
) -> str:
    difference = compare_answers(expected, answers, rows).differences.max()
    return (
        f"resize=True: images of {sides[0]} x {sides[1]} pixels, resized to {size[0]} x {size[1]} "
        f"in the graph, do not give what the ImageLoader's give: largest difference "
        f"{difference:.1e}. Nothing was written."
    )
