"""Small networks that tests make up, as modules and as .onnx files."""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper


class SmallNet(torch.nn.Module):
    """Two convolutions and a classifier, with weights that are the same every time."""

    def __init__(self, n_channels=3, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = torch.nn.Conv2d(n_channels, 4, 3, stride=2, padding=1)
            self.act = torch.nn.ReLU(inplace=True)
            self.second = torch.nn.Conv2d(4, 6, 3, stride=2, padding=1)
            self.head = torch.nn.Linear(6, 5)
        self.gain = 1.0

    def forward(self, x):
        x = self.second(self.act(self.first(x))) * self.gain
        return self.head(x.mean(dim=(2, 3)))


def write_onnx(
    path, *, channels_last=False, dtype=np.float32, batch="n", size=("h", "w"), rank=4, opset=20
):
    """Write Conv-Relu-Conv with SmallNet's weights; channels_last as tf2onnx writes it."""
    net = SmallNet()
    names = {"first.weight": "w1", "first.bias": "b1", "second.weight": "w2", "second.bias": "b2"}
    state = net.state_dict()
    constants = [numpy_helper.from_array(state[key].numpy(), names[key]) for key in names]
    nodes, current = [], "image"

    def add(kind, *inputs, output, **attributes):
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    if dtype == np.uint8:
        current = add("Cast", current, output="float", to=TensorProto.FLOAT)
    if channels_last:
        current = add("Transpose", current, output="first_order", perm=[0, 3, 1, 2])
    sides = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    current = add("Conv", current, "w1", "b1", output="conv1", **sides)
    current = add("Relu", current, output="relu")
    current = add("Conv", current, "w2", "b2", output="conv2", **sides)
    if channels_last:
        current = add("Transpose", current, output="last_order", perm=[0, 2, 3, 1])
    shape = [batch, *size, 3] if channels_last else [batch, 3, *size]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", kind, shape[:rank])],
        [helper.make_tensor_value_info(current, TensorProto.FLOAT, [None] * 4)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def pool_by_hand(maps, pools, grid):
    """Pool (n, c, h, w) as torch's adaptive pooling cuts it, in numpy, block by block."""
    n, _, height, width = maps.shape
    columns = []
    for y in range(grid):
        for x in range(grid):
            rows = slice(y * height // grid, int(np.ceil((y + 1) * height / grid)))
            cols = slice(x * width // grid, int(np.ceil((x + 1) * width / grid)))
            cell = maps[:, :, rows, cols].reshape(n, maps.shape[1], -1).astype(np.float64)
            values = {
                "mean": cell.mean(axis=2),
                "std": cell.std(axis=2),
                "max": cell.max(axis=2),
                "gem": (np.maximum(cell, 1e-6) ** 3).mean(axis=2) ** (1 / 3),
            }
            columns += [values[pool] for pool in pools]
    return np.concatenate(columns, axis=1)


def normalise(images, mean=0.0, std=1.0):
    return torch.from_numpy((images / 255 - mean) / std).float().permute(0, 3, 1, 2)


def relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()
