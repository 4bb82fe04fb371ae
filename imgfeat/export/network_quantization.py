"""Quantisation of a pipeline's networks to 8 bits; the steps behind them are not refitted."""

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat.export.errors import ExportError
from imgfeat.export.plan import Plan
from imgfeat.features.cnn import CNNEmbedding


def quantize_networks(plan: Plan) -> Plan:
    """Return a plan whose networks are quantised to 8 bits; the given plan is not changed.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    quantized : Plan

    Raises
    ------
    ExportError
        If the pipeline contains no network.
    """
    steps = [(name, _quantize(step)) for name, step in plan.steps]
    if all(new is old for (_, new), (_, old) in zip(steps, plan.steps, strict=True)):
        raise ExportError(
            "int8=True: there is no network in this pipeline to quantise. Export with int8=False."
        )
    return Plan(steps, plan.loader, plan.images)


def _quantize(step: BaseEstimator) -> BaseEstimator:
    if isinstance(step, CNNEmbedding):
        quantized = clone(step).set_params(precision="int8", engine="onnx", device="cpu")
        return quantized.fit(np.zeros((1, *step.image_shape_), np.uint8))
    if isinstance(step, FeatureUnion):
        return _quantize_parts(step, "transformer_list")
    return _quantize_parts(step, "steps") if isinstance(step, Pipeline) else step


def _quantize_parts(step: BaseEstimator, attribute: str) -> BaseEstimator:
    """Return the step itself or, if it contains a network, a copy with quantised networks."""
    parts = getattr(step, attribute)
    changed = [(name, _quantize(part)) for name, part in parts]
    if all(new is old for (_, new), (_, old) in zip(changed, parts, strict=True)):
        return step
    copied = object.__new__(type(step))
    copied.__dict__.update(step.__dict__, **{attribute: changed})
    return copied
