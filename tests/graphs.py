"""Transformers as graphs, and pictures to compare them on."""

import numpy as np
import onnxruntime
import skl2onnx
from skimage import data
from skl2onnx.common.data_types import UInt8TensorType

from imgfeat.export import register_converters


def convert(transformer, images):
    """Return a session of the transformer's graph, on one thread."""
    register_converters()
    types = [("images", UInt8TensorType([None, *images.shape[1:]]))]
    model = skl2onnx.to_onnx(transformer.fit(images), initial_types=types)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run_graph(transformer, images):
    """Return what the graph makes of all images, and of the first one alone."""
    session = convert(transformer, images)
    all_rows, first = (session.run(None, {"images": part})[0] for part in (images, images[:1]))
    np.testing.assert_array_equal(first, all_rows[:1])
    return all_rows


def take_patches(height, width, *, color, n=24, seed=0):
    """Cut patches of photographs, whole, dim and almost black, and a flat one."""
    photographs = (data.astronaut(), data.coffee(), data.chelsea())
    if not color:
        photographs = (data.camera(), data.brick(), data.coins())
    rng = np.random.default_rng(seed)
    patches = []
    for i in range(n):
        photograph = photographs[i % 3]
        y = rng.integers(photograph.shape[0] - height + 1)
        x = rng.integers(photograph.shape[1] - width + 1)
        patches.append(photograph[y : y + height, x : x + width] // (1, 1, 16, 64)[i % 4])
    patches[-1] = np.full_like(patches[-1], 77)
    return np.stack(patches)
