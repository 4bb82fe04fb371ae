"""Estimators as sessions, for the tests of converters."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
from skl2onnx.common.data_types import UInt8TensorType

from imgfeat.export.conversion import convert_estimator


def export(estimator, shape, target_opset=20):
    """Convert an estimator for images of a shape, and have the result checked."""
    types = [("images", UInt8TensorType([None, *shape]))]
    opsets = {"": target_opset, "ai.onnx.ml": 3}
    model = convert_estimator(estimator, types, opsets)
    onnx.checker.check_model(model, full_check=True)
    return model


def open_session(model, optimized_path=None):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    if optimized_path is not None:
        options.optimized_model_filepath = str(optimized_path)
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run_batches(model, images, atol=1e-6):
    """Run a graph on one image, on three, and on all, which must agree; return the last."""
    session = open_session(model)
    name = session.get_outputs()[0].name
    one, three, every = (
        session.run([name], {"images": np.ascontiguousarray(images[:n])})[0]
        for n in (1, 3, len(images))
    )
    np.testing.assert_allclose(one, every[:1], rtol=1e-6, atol=atol)
    np.testing.assert_allclose(three, every[:3], rtol=1e-6, atol=atol)
    return every


def count_kinds(model, folder):
    """Count the operators that onnxruntime runs after all its optimisations."""
    path = folder / "optimized.onnx"
    open_session(model, path)
    return Counter(node.op_type for node in onnx.load(path).graph.node)
