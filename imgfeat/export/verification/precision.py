"""Verified graphs: in single precision if that is enough, else in double precision."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.conversion import convert
from imgfeat.export.errors import ExportError
from imgfeat.export.plan import Plan
from imgfeat.export.verification.certificate import Certificate, certify
from imgfeat.export.verification.graph_outputs import TOLERANCE, Outputs, run_pipeline
from imgfeat.export.verification.rounding_sensitivity import measure_rounding_sensitivity

if TYPE_CHECKING:
    from onnx import ModelProto


def verify(
    plan: Plan, model: "ModelProto", expected: Outputs, images: NDArray[np.uint8]
) -> tuple["ModelProto", Certificate]:
    """Return the first graph that is verified, and its certificate.

    Single precision is tried before double precision, both first without and then with tolerance
    for rounding-sensitive images.

    Parameters
    ----------
    plan : Plan
    model : onnx.ModelProto
        The plan's graph in single precision.
    expected : Outputs
        The pipeline's outputs for `images`.
    images : ndarray of shape (n, *shape), dtype uint8

    Returns
    -------
    model : onnx.ModelProto
    certificate : Certificate

    Raises
    ------
    ExportError
        If no graph is verified; the message names the first step whose outputs differ.
    """
    models = {False: model}
    causes: list[str] = []
    for tolerant in (False, True):
        for double in (False, True):
            try:
                if double not in models:
                    models[double] = convert(plan, double=double)
                certificate = certify(
                    expected,
                    models[double].SerializeToString(),
                    images,
                    sensitivity=measure_rounding_sensitivity(plan, expected, images, double=double)
                    if tolerant
                    else None,
                    precision="float64" if double else "float32",
                )
            except ExportError as error:
                causes.append(f"The graph cannot be run: {error}")
                continue
            if certificate.holds:
                return models[double], certificate
            causes.append(_describe_failure(certificate))
    raise ExportError(
        f"{causes[-1].rstrip('.')}. {_find_first_mismatch(plan, images)} Nothing was written."
    )


def _describe_failure(certificate: Certificate) -> str:
    if certificate.n_labels_different or not certificate.largest_difference <= TOLERANCE:
        figures = str(certificate).splitlines()[0]
        return f"The outputs of the graph differ from those of the pipeline: {figures}"
    return (
        f"{certificate.n_ties} of {certificate.n_images} images are rounding-sensitive, so too few "
        "are left to verify the graph. Pass images that the pipeline was not trained on"
    )


def _find_first_mismatch(plan: Plan, images: NDArray[np.uint8]) -> str:
    """Return a sentence that names the first step where graph and pipeline differ."""
    for count in range(1, len(plan.steps) + 1):
        name, step = plan.steps[count - 1]
        place = f"step {count} of {len(plan.steps)}, {name} ({type(step).__name__})"
        expected = run_pipeline(plan.cut(count), images)
        causes = []
        for double in (True, False):
            try:
                graph = convert(plan, count=count, double=double).SerializeToString()
                certificate = certify(expected, graph, images)
            except ExportError as error:
                causes.append(str(error))
            else:
                causes.append("" if certificate.holds else str(certificate).splitlines()[0])
        if all(causes):
            return f"The first mismatch is at {place}: {causes[0].rstrip('.')}."
    return "No single step causes the difference."
