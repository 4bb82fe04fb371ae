"""Static 8-bit integer quantisation of graphs for the CPU, per channel, calibrated on images."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._optional import import_optional
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.onnx.graph import INPUT, OUTPUT, PREFIX, PrePostProcessing, find_exact_scale
from imgfeat.backbones.onnx.session import open_session
from imgfeat.images.samples import sample_images

if TYPE_CHECKING:
    import onnx

N_CALIBRATION = 96
N_CHECK = 48
CHECK_SEED = 1
BATCH = 8
# Convolutions and matrix products take most of the time; pre- and post-processing stay in float.
OPERATORS = [
    "Conv",
    "MatMul",
    "Gemm",
    "Add",
    "Clip",
    "Relu",
    "AveragePool",
    "MaxPool",
]


def quantize_graph(
    model: "onnx.ModelProto",
    processing: PrePostProcessing,
    calibration: NDArray[np.uint8] | None,
) -> tuple["onnx.ModelProto", dict[str, Any]]:
    """Quantise a graph's convolutions and matrix products.

    Parameters
    ----------
    model : onnx.ModelProto
        From uint8 images to features.
    processing : PrePostProcessing
        The processing with which the graph was made.
    calibration : ndarray of shape (n, h, w, c), dtype uint8, or None
        Images from which the range of each tensor is measured; by default crops of photographs
        that ship with scikit-image and scikit-learn.

    Returns
    -------
    quantized : onnx.ModelProto
    cost : dict
        ``cosine_mean`` and ``cosine_min``, the mean and minimum cosine similarity of an image's
        features with those of the float graph, on other photographs.

    Raises
    ------
    BackboneError
        If the graph cannot be quantised.
    """
    onnx = import_optional("onnx")
    quantization = import_optional("onnxruntime.quantization")
    shape_inference = import_optional("onnxruntime.quantization.shape_inference")
    images = (
        sample_images(N_CALIBRATION, processing.input_shape) if calibration is None else calibration
    )
    logging.getLogger().addFilter(_is_not_advice)
    try:
        with tempfile.TemporaryDirectory(prefix="imgfeat-int8-") as folder:
            source, prepared, target = (Path(folder) / f"{k}.onnx" for k in range(3))
            onnx.save(model, source)
            shape_inference.quant_pre_process(source, prepared, skip_symbolic_shape=True)
            graph = onnx.load(prepared).graph
            quantization.quantize_static(
                prepared,
                target,
                _Reader(images),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=OPERATORS,
                nodes_to_exclude=[n.name for n in graph.node if n.name.startswith(PREFIX)],
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                extra_options=_keep_pixel_scale(graph, processing),
            )
            quantized = onnx.load(target)
    except Exception as error:  # onnxruntime's tools raise many classes
        raise BackboneError(
            f"This network cannot be quantised ({' '.join(str(error).split())[:200]}). Use "
            "precision='fp32'."
        ) from error
    finally:
        logging.getLogger().removeFilter(_is_not_advice)
    return quantized, measure_cost(
        model.SerializeToString(), quantized.SerializeToString(), processing.input_shape
    )


def measure_cost(
    exact: bytes, quantized: bytes, input_shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Compare the features of two graphs on photographs not used for calibration."""
    images = sample_images(N_CHECK, input_shape, seed=CHECK_SEED)
    rows = [
        np.concatenate(
            [
                session.run([OUTPUT], {INPUT: images[start : start + BATCH]})[0]
                for start in range(0, N_CHECK, BATCH)
            ]
        )
        for session in (open_session(exact), open_session(quantized))
    ]
    norms = np.linalg.norm(rows[0], axis=1) * np.linalg.norm(rows[1], axis=1)
    cosines = (rows[0] * rows[1]).sum(axis=1) / norms
    if not np.isfinite(cosines).all():
        raise BackboneError(
            "The features of the quantised graph are not finite. Use precision='fp32'."
        )
    return {
        "images": N_CHECK,
        "cosine_mean": float(cosines.mean()),
        "cosine_min": float(cosines.min()),
    }


def _keep_pixel_scale(graph: "onnx.GraphProto", processing: PrePostProcessing) -> dict[str, Any]:
    """Return options that keep the input's own scale and zero point, where that is exact."""
    exact = find_exact_scale(processing)
    if exact is None:
        return {}
    readers = {node.input[0]: node for node in graph.node if node.input}
    pixels = INPUT
    while (node := readers.get(pixels)) and node.op_type in ("DequantizeLinear", "Transpose"):
        pixels = node.output[0]
    scale, zero = np.array(exact[0], np.float32), np.array(exact[1], np.uint8)
    return {"TensorQuantOverrides": {pixels: [{"scale": scale, "zero_point": zero}]}}


class _Reader:
    """A calibration data reader for onnxruntime: returns one batch after the other, then None."""

    def __init__(self, images: NDArray[np.uint8]):
        self.batches: Iterator[NDArray[np.uint8]] = (
            images[start : start + BATCH] for start in range(0, len(images), BATCH)
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self.batches, None)
        return None if batch is None else {INPUT: batch}


def _is_not_advice(record: logging.LogRecord) -> bool:
    """Filter out onnxruntime's advice to pre-process the model, which has been done."""
    return "pre-process" not in record.getMessage()
