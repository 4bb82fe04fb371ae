"""Converters for scikit-learn's approximate kernel maps: Nystroem and RBFSampler."""

import numpy as np
from sklearn.kernel_approximation import Nystroem, RBFSampler

from imgfeat.export.converters.base_step import Step
from imgfeat.export.converters.base_svm import add_kernel
from imgfeat.export.converters.base_transformer import register_transformer


def _emit_nystroem(step: Step) -> str:
    model = step.estimator
    if model.kernel_params:
        raise NotImplementedError(
            f"Nystroem(kernel_params={model.kernel_params!r}) cannot be converted: use "
            "kernel_params=None."
        )
    components = model.components_
    kernel = add_kernel(
        step,
        components,
        model.kernel,
        gamma=1 / components.shape[1] if model.gamma is None else model.gamma,
        coef0=1 if model.coef0 is None else model.coef0,
        degree=3 if model.degree is None else model.degree,
    )
    return step.add("MatMul", kernel, step.floats(model.normalization_.T))


def _emit_sampler(step: Step) -> str:
    model = step.estimator
    weights = step.floats(model.random_weights_)
    # cos(x) = sin(x + pi / 2): ONNX Runtime 1.26 has no cosine in double precision.
    offsets = step.floats(model.random_offset_ + np.pi / 2)
    waves = step.add("Sin", step.add("Gemm", step.features, weights, offsets))
    return step.add("Mul", waves, step.floats(np.sqrt(2 / len(model.random_offset_))))


register_transformer(Nystroem, lambda model: len(model.components_), _emit_nystroem)
register_transformer(RBFSampler, lambda model: len(model.random_offset_), _emit_sampler)
