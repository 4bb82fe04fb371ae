"""A small Keras classifier as tf2onnx 1.16 writes it, and what it computes, in torch.

The model is Rescaling(1 / 127.5, -1), Conv2D(8, 3, strides=2, padding="same"), ReLU, MaxPooling2D,
Conv2D(12, 3, padding="same"), ReLU(6), GlobalAveragePooling2D, Dense(4, "softmax"). Its input is
NHWC with pixels in 0..255 and a batch size named unk__32; convolutions stand between Transposes.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

SIZE = 48


def make_weights():
    """Return kernels in ONNX's order (out, in, h, w), the dense matrix, and biases."""
    rng = np.random.default_rng(0)
    shapes = {"conv1": (8, 3, 3, 3), "conv2": (12, 8, 3, 3), "dense": (12, 4)}
    weights = {}
    for name, shape in shapes.items():
        fan_in = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
        weights[name] = rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
        n_outputs = shape[0] if len(shape) == 4 else shape[1]
        weights[f"{name}_bias"] = rng.normal(0, 0.1, n_outputs).astype(np.float32)
    return weights


def write_keras_file(path):
    """Write the model; return its path."""
    values = make_weights() | {"scale": np.float32([1 / 127.5]), "shift": np.float32([-1])}
    values |= {"low": np.float32(0), "six": np.float32(6)}
    shapes = {"conv1": "small/conv1/Conv2D/ReadVariableOp:0", "scale": "const_fold_opt__40"}
    names = {name: shapes.get(name, f"small/{name}/ReadVariableOp:0") for name in values}
    nodes = []

    def add(kind, output, *inputs, **attributes):
        name = output.removesuffix(":0")
        nodes.append(helper.make_node(kind, list(inputs), [output], name=name, **attributes))
        return output

    current = add("Mul", "small/rescaling/mul:0", "input_1", names["scale"])
    current = add("Add", "small/rescaling/add:0", current, names["shift"])
    current = add("Transpose", "small/conv1/BiasAdd__6:0", current, perm=[0, 3, 1, 2])
    weights = names["conv1"], names["conv1_bias"]
    # Keras pads "same" at the end alone where the stride is 2 and the side is even.
    sides = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1], "dilations": [1, 1]}
    current = add("Conv", "small/conv1/BiasAdd:0", current, *weights, group=1, **sides)
    current = add("Relu", "small/re_lu/Relu:0", current)
    sides = {"kernel_shape": [2, 2], "strides": [2, 2]}
    current = add("MaxPool", "small/max_pooling2d/MaxPool:0", current, **sides)
    weights = names["conv2"], names["conv2_bias"]
    sides = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1]}
    current = add("Conv", "small/conv2/BiasAdd:0", current, *weights, group=1, **sides)
    current = add("Clip", "small/re_lu_1/Relu6:0", current, names["low"], names["six"])
    current = add("Transpose", "small/re_lu_1/Relu6__14:0", current, perm=[0, 2, 3, 1])
    output = "small/global_average_pooling2d/Mean:0"
    current = add("ReduceMean", output, current, axes=[1, 2], keepdims=0)
    current = add("MatMul", "small/dense/MatMul:0", current, names["dense"])
    current = add("Add", "small/dense/BiasAdd:0", current, names["dense_bias"])
    add("Softmax", "dense", current, axis=1)
    image = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["unk__32", SIZE, SIZE, 3])
    dense = helper.make_tensor_value_info("dense", TensorProto.FLOAT, ["unk__33", 4])
    constants = [numpy_helper.from_array(value, names[name]) for name, value in values.items()]
    graph = helper.make_graph(nodes, "tf2onnx", [image], [dense], constants)
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 2)]
    model = helper.make_model(graph, producer_name="tf2onnx", opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def run_keras_model(images):
    """Return the outputs of both activations, (n, c, h, w), and the probabilities, by torch."""
    weights = {name: torch.from_numpy(value) for name, value in make_weights().items()}
    functional = torch.nn.functional
    x = torch.from_numpy(np.asarray(images, np.float32)).permute(0, 3, 1, 2) / 127.5 - 1
    x = functional.pad(x, (0, 1, 0, 1))
    first = functional.conv2d(x, weights["conv1"], weights["conv1_bias"], stride=2).relu()
    x = functional.max_pool2d(first, 2)
    second = functional.conv2d(x, weights["conv2"], weights["conv2_bias"], padding=1).clamp(0, 6)
    logits = second.mean(dim=(2, 3)) @ weights["dense"] + weights["dense_bias"]
    return first.numpy(), second.numpy(), logits.softmax(dim=1).numpy()
