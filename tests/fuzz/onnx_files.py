"""Damaged and forged exported files.

A damaged file must give the same outputs as before or raise ModelFileError. A forged file has a
hash that matches its changes: it may give other outputs, but must not raise another error or end
the process.
"""

import ast
import collections
import functools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from imgfeat import HOG, LBP, ColorHistogram, ImageLoader
from imgfeat.datasets import load_textures
from imgfeat.ensembles import svm
from imgfeat.export import to_onnx
from imgfeat.export.model_file import HASH, METADATA, NO_HASH, serialize_with_hash

from .mutations import mutate

CHILD = Path(__file__).with_name("onnx_child.py")
BATCH = 120
# A child process that takes longer than this is in an endless loop.
TIMEOUT = 300
NUMBERS = [0, 1, -1, 2, 7, 255, 2**31 - 1, -(2**31), 2**31, 2**40, 2**62, -(2**63), 10**12]
REALS = [0.0, -1.0, 1e38, float("nan"), float("inf"), -float("inf")]
TEXTS = [b"", b"x", b"\xff\xfe", b"LEAF", b"SUM", b"Loop", b"images", b"/etc/passwd", b"a" * 5000]
OPERATORS = [
    "Tile",
    "Conv",
    "Gather",
    "Reshape",
    "Loop",
    "Expand",
    "Pad",
    "MaxPool",
    "Resize",
    "TopK",
]


@functools.cache
def make_seeds() -> dict[str, bytes]:
    """Return the contents of small exported files, by name."""
    train = load_textures("train")
    images, labels = train.images[::2], train.target[::2]
    seeds = {}
    for name, color, features, head, resize in [
        ("linear", "gray", HOG(), LogisticRegression(), False),
        ("neighbours", "gray", LBP(), KNeighborsClassifier(3), False),
        ("forest", "rgb", ColorHistogram(bins=4), RandomForestClassifier(3), False),
        ("kernel", "gray", LBP(), svm(probability=True), True),
        ("features", "rgb", ColorHistogram(bins=4), None, True),
    ]:
        steps = [ImageLoader(24, color=color), features, *([] if head is None else [head])]
        model = make_pipeline(*steps).fit(images, labels)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.onnx"
            to_onnx(model, load_textures("test").images[::20], path, resize=resize)
            seeds[name] = path.read_bytes()
    return seeds


def fuzz(
    rng: np.random.Generator, deadline: float | None = None, n: int | None = None
) -> collections.Counter:
    """Change files until the deadline, or `n` of them, and count the outcomes.

    Raises
    ------
    AssertionError
        If a damaged file gives other outputs, or a file raises another error, or ends the process
        or does not finish.
    """
    outcomes: collections.Counter = collections.Counter()
    seeds = make_seeds()
    names = list(seeds)
    whole = _read_all(list(seeds.values()), names)
    expected = dict(zip(names, whole, strict=True))
    assert "refused" not in expected.values()
    while (n is None or outcomes.total() < n) and (deadline is None or time.monotonic() < deadline):
        size = BATCH if n is None else min(BATCH, n - outcomes.total())
        origins = [names[int(rng.integers(len(names)))] for _ in range(size)]
        kinds = [_KINDS[int(rng.integers(len(_KINDS)))] for _ in range(size)]
        files = [kind(seeds[name], rng) for kind, name in zip(kinds, origins, strict=True)]
        labels = [f"{name}, {kind.__name__}" for name, kind in zip(origins, kinds, strict=True)]
        for kind, name, data, found in zip(
            kinds, origins, files, _read_all(files, labels), strict=True
        ):
            same = found == expected[name]
            if kind is damage_bytes and not same and found != "refused":
                raise AssertionError(f"{name} gives other outputs after damage: {_keep(data)}")
            outcomes["refused" if found == "refused" else "same" if same else "forged"] += 1
    return outcomes


def _read_all(files: list[bytes], labels: list[str]) -> list[str]:
    """Return the outcome of each file, from a child process."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.onnx" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        try:
            run = subprocess.run(
                [sys.executable, CHILD, *paths],
                capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            place = _count_read(error.stdout.decode() if error.stdout else "")
            raise AssertionError(
                f"{labels[place]} does not finish: {_keep(files[place])}"
            ) from error
    if run.returncode:
        place = _count_read(run.stdout)
        cause = f"the process ended with {run.returncode}: {run.stderr[-300:]}"
        raise AssertionError(f"{labels[place]}: {cause}: {_keep(files[place])}")
    lines = [line for line in run.stdout.split("\n") if line.startswith("got ")]
    found = [ast.literal_eval(line[4:]) for line in lines]
    for label, data, outcome in zip(labels, files, found, strict=True):
        if outcome.startswith("error"):
            raise AssertionError(f"{label}: {outcome[:300]}: {_keep(data)}")
    return found


def _count_read(printed: str) -> int:
    """Return the position of the file that was read last."""
    return max(sum(line.startswith("read ") for line in printed.split("\n")) - 1, 0)


def _keep(data: bytes) -> str:
    with tempfile.NamedTemporaryFile(prefix="damaged-", suffix=".onnx", delete=False) as file:
        file.write(data)
    return file.name


def damage_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Change random bytes."""
    return mutate(data, rng)


def forge_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """Change random bytes, and write a matching hash."""
    from imgfeat.export.model_file import hash_model

    place = data.rindex(HASH.encode()) - 8
    changed = mutate(data[:place], rng) + data[place:-64] + NO_HASH
    return changed[:-64] + hash_model(changed).encode()


def forge_content(data: bytes, rng: np.random.Generator) -> bytes:
    """Change fields of the model, and write a matching hash."""
    model = onnx.load_model_from_string(data)
    for _ in range(int(rng.integers(1, 4))):
        _CHANGES[int(rng.integers(len(_CHANGES)))](model, rng)
    for entry in model.metadata_props:
        if entry.key == HASH:
            entry.value = NO_HASH.decode()
    return serialize_with_hash(model)


_KINDS = [damage_bytes, forge_bytes, forge_content, forge_content]


def _pick(items: Any, rng: np.random.Generator) -> Any:
    return items[int(rng.integers(len(items)))] if len(items) else None


def _change_attribute(model: Any, rng: np.random.Generator) -> None:
    nodes = [node for node in model.graph.node if node.attribute]
    node = _pick([node for node in nodes if node.domain], rng) if rng.random() < 0.5 else None
    attribute = _pick((node or _pick(nodes, rng)).attribute, rng)
    kind = int(rng.integers(4))
    if kind == 0:
        attribute.type = int(rng.integers(1, 12))
    for numbers, values in ((attribute.ints, NUMBERS), (attribute.floats, REALS)):
        if len(numbers) and kind == 1:
            numbers[int(rng.integers(len(numbers)))] = _pick(values, rng)
        elif len(numbers) and kind == 2:
            del numbers[int(rng.integers(len(numbers)))]
        elif len(numbers):
            numbers.extend([_pick(values, rng)] * int(rng.integers(1, 5)))
    if len(attribute.strings):
        attribute.strings[int(rng.integers(len(attribute.strings)))] = _pick(TEXTS, rng)
    if attribute.HasField("i"):
        attribute.i = _pick(NUMBERS, rng)
    if attribute.HasField("f"):
        attribute.f = _pick(REALS, rng)
    if attribute.HasField("s"):
        attribute.s = _pick(TEXTS, rng)


def _change_tensor(model: Any, rng: np.random.Generator) -> None:
    tensor = _pick(model.graph.initializer, rng)
    kind = int(rng.integers(6))
    if kind == 0 and len(tensor.dims):
        tensor.dims[int(rng.integers(len(tensor.dims)))] = _pick(NUMBERS, rng)
    elif kind == 1:
        tensor.data_type = int(rng.integers(0, 24))
    elif kind == 2:
        tensor.raw_data = tensor.raw_data[: int(rng.integers(len(tensor.raw_data) + 1))]
    elif kind == 3:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="etc/passwd")
    elif kind == 4 and tensor.data_type == onnx.TensorProto.INT64:
        values = onnx.numpy_helper.to_array(tensor).copy()
        if values.size:
            values.flat[int(rng.integers(values.size))] = _pick(NUMBERS, rng)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    else:
        dims = list(tensor.dims)
        rng.shuffle(dims)
        tensor.dims[:] = [*dims, 1] if rng.random() < 0.3 else dims


def _change_node(model: Any, rng: np.random.Generator) -> None:
    node = _pick(model.graph.node, rng)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)]
    kind = int(rng.integers(6))
    if kind == 0:
        node.op_type = _pick(OPERATORS, rng)
    elif kind == 1 and len(node.input):
        node.input[int(rng.integers(len(node.input)))] = _pick(names, rng)
    elif kind == 2 and len(node.output):
        node.output[int(rng.integers(len(node.output)))] = _pick(names, rng)
    elif kind == 3:
        model.graph.node.remove(node)
    elif kind == 4:
        node.op_type = _pick(model.graph.node, rng).op_type
    else:
        node.domain = str(_pick(["", "ai.onnx", "ai.onnx.ml", "com.microsoft", "x"], rng))


def _change_value(model: Any, rng: np.random.Generator) -> None:
    value = _pick([*model.graph.input, *model.graph.output], rng)
    shape = value.type.tensor_type.shape
    kind = int(rng.integers(4))
    if kind == 0:
        value.type.tensor_type.elem_type = int(rng.integers(0, 24))
    elif kind == 1 and len(shape.dim):
        _pick(shape.dim, rng).dim_value = _pick(NUMBERS, rng)
    elif kind == 2:
        shape.dim.add().dim_value = 3
    else:
        value.name = str(_pick(["images", "label", "x", "probabilities"], rng))


def _change_version(model: Any, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        model.ir_version = _pick(NUMBERS, rng)
    else:
        _pick(model.opset_import, rng).version = _pick([*NUMBERS, *range(1, 30)], rng)


def _change_notes(model: Any, rng: np.random.Generator) -> None:
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA)
    notes = json.loads(entry.value)
    table = notes if rng.random() < 0.5 else notes["input"]
    values = [None, [], {}, "x", -1, 10**30, [None], [1, 2], "<U500000000", "O", "f8", 1.5, True]
    key = _pick(list(table), rng)
    if rng.random() < 0.2:
        del table[key]
    else:
        table[key] = _pick(values, rng)
    entry.value = "[" * 100_000 if rng.random() < 0.02 else json.dumps(notes)


_CHANGES = [
    _change_attribute, _change_attribute, _change_tensor, _change_tensor, _change_node,
    _change_value, _change_version, _change_notes,
]  # fmt: skip
