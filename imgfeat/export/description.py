"""The metadata of an exported file: input, steps, classes, certificate and versions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._environment import describe_environment
from imgfeat.export.labels import to_plain
from imgfeat.export.model_file import FORMAT
from imgfeat.export.plan import Plan
from imgfeat.export.verification.certificate import Certificate
from imgfeat.export.verification.graph_outputs import Outputs
from imgfeat.images.pixel_values import ValueRange


def describe(plan: Plan, outputs: Outputs, certificate: Certificate) -> dict[str, Any]:
    """Return the metadata of a file: input, steps, classes, certificate and versions.

    Parameters
    ----------
    plan : Plan
    outputs : Outputs
        The outputs of the pipeline.
    certificate : Certificate

    Returns
    -------
    metadata : dict
        It can be written as JSON; `imgfeat.export.checks.metadata` checks its form.
    """
    loader, classes = plan.loader, _list_classes(outputs)
    return {
        "format": FORMAT,
        "kind": _name_kind(outputs),
        "classes": None if classes is None else to_plain(classes),
        "classes_dtype": None if classes is None else _name_dtype(classes),
        "input": {
            # None: height and width are free, since the graph resizes.
            "shape": (None, None, *plan.shape[2:]) if certificate.sizes else plan.shape,
            "dtype": "uint8",
            "layout": "n" + {1: "p", 2: "hw", 3: "hwc"}[len(plan.shape)],
            "color": _name_color(plan.shape),
            "loader": None
            if loader is None
            else {
                "color": loader.color,
                "resize": loader.resize,
                "max_pixels": loader.max_pixels,
                "value_range": _to_json(loader.value_range),
            },
        },
        "steps": [f"{name}: {type(step).__name__}" for name, step in plan.steps],
        "certificate": certificate.to_dict(),
        "versions": describe_environment()["versions"],
    }


def _to_json(value_range: ValueRange) -> str | list[float | str]:
    if isinstance(value_range, str):
        return value_range
    return [value if isinstance(value, str) else float(value) for value in value_range]


def _name_color(shape: tuple[int, ...]) -> str | None:
    """Return the colour mode, or None for flat images, whose channels are not known."""
    if len(shape) == 1:
        return None
    return {1: "gray", 3: "RGB", 4: "RGBA"}.get(shape[2] if len(shape) == 3 else 1)


def _name_kind(outputs: Outputs) -> str:
    if outputs.labels is None:
        return "transformer"
    return "multilabel" if outputs.labels.ndim == 2 else "classifier"


def _list_classes(outputs: Outputs) -> NDArray[Any] | None:
    """Return the classes or, of a multi-label pipeline, the numbers of its labels."""
    if outputs.labels is not None and outputs.labels.ndim == 2:
        return np.arange(outputs.labels.shape[1])
    return outputs.classes


def _name_dtype(classes: NDArray[Any]) -> str:
    return "object" if classes.dtype.kind == "O" else classes.dtype.str
