"""Exported files that were forged, with a hash that fits: refused before anything comes of it."""

import json
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline

from imgfeat import ColorHistogram, ImageLoader, ModelFileError
from imgfeat.cli import main
from imgfeat.datasets import load_textures
from imgfeat.export import load_onnx, to_onnx
from imgfeat.export.checks.wire_format import BYTES, FIXED32, VARINT, Field, WireError, read_message
from imgfeat.export.model_file import serialize_with_hash

TRAIN, TEST = load_textures("train"), load_textures("test")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    forest = RandomForestClassifier(4, random_state=0)
    model = make_pipeline(ImageLoader(24), ColorHistogram(bins=4), forest)
    model.fit(TRAIN.images, TRAIN.target)
    path = tmp_path_factory.mktemp("sound") / "m.onnx"
    to_onnx(model, TEST.images[::20], path)
    return path


@pytest.fixture
def refuse(path, tmp_path):
    """Forge a copy of a sound file, and see that it is refused with a message."""

    def refuse(forge, message):
        model = onnx.load(path)
        forge(model)
        for entry in model.metadata_props:
            if entry.key == "imgfeat_sha256":
                entry.value = "0" * 64
        forged = tmp_path / "forged.onnx"
        forged.write_bytes(serialize_with_hash(model))
        with pytest.raises(ModelFileError, match=message) as caught:
            load_onnx(forged)
        assert str(forged) in str(caught.value)
        assert "\n" not in str(caught.value)
        return forged

    return refuse


def find(model, kind):
    return next(node for node in model.graph.node if node.op_type == kind)


def find_attribute(node, name):
    return next(entry for entry in node.attribute if entry.name == name)


def put_outside(model, location="etc/passwd"):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def test_other_files_are_not_opened(refuse, monkeypatch, capsys):
    monkeypatch.chdir("/")
    forged = refuse(put_outside, r"tensor .* is stored in another file")
    refuse(lambda model: put_outside(model, "../../x"), "is stored in another file")

    def keep_quiet(model):  # the place alone, for readers that do not look at the flag
        model.graph.initializer[0].external_data.add(key="location", value="etc/passwd")

    refuse(keep_quiet, "is stored in another file")

    def in_an_attribute(model):
        node = helper.make_node(
            "Constant", [], ["aside"], value=numpy_helper.from_array(np.ones(3))
        )
        node.attribute[0].t.data_location = TensorProto.EXTERNAL
        node.attribute[0].t.external_data.add(key="location", value="etc/passwd")
        model.graph.node.append(node)

    refuse(in_an_attribute, "is stored in another file")
    assert main(["predict", str(forged), os.devnull]) != 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "is stored in another file" in err


def add(*nodes, constants=()):
    def forge(model):
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(constants)

    return forge


def int64(name, values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


BODY = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [], [])


@pytest.mark.parametrize(
    "node",
    [
        helper.make_node("Loop", ["count", ""], ["out"], body=BODY),
        helper.make_node("SequenceMap", ["images"], ["out"], body=BODY),
        helper.make_node("ImageDecoder", ["images"], ["out"]),
        helper.make_node("RandomNormal", [], ["out"], shape=[3]),
        helper.make_node("Inverse", ["images"], ["out"], domain="com.microsoft"),
        helper.make_node("ZipMap", ["images"], ["out"], domain="ai.onnx.ml"),
        helper.make_node("NoSuch", ["images"], ["out"]),
        helper.make_node("Relu", ["images"], ["out"], domain="ai.onnx.ml"),
    ],
    ids=lambda node: node.op_type,
)
def test_operators_that_are_not_ours(node, refuse):
    refuse(add(node), rf"operator '.*{node.op_type}', which imgfeat does not write")


def test_operators_within_branches(refuse):
    inner = helper.make_graph([helper.make_node("Loop", [], ["x"], body=BODY)], "branch", [], [])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    refuse(add(node), "operator 'Loop'")
    refuse(add(helper.make_node("Relu", ["c"], ["y"], body=BODY)), "a graph within Relu")
    scan = helper.make_node("Scan", ["images"], ["out"], body=BODY, num_scan_inputs=1)
    twice = helper.make_graph([scan], "twice", [], [])
    scan = helper.make_node("Scan", ["images"], ["out"], body=twice, num_scan_inputs=1)
    refuse(add(scan), "a graph within Scan")
    deep = BODY
    for _ in range(30):
        node = helper.make_node("If", ["c"], ["y"], then_branch=deep, else_branch=BODY)
        deep = helper.make_graph([node], "deep", [], [])
    refuse(add(node), "graphs nested too deeply")


def test_functions_and_training(refuse):
    function = helper.make_function("x", "F", ["a"], ["b"], [], [helper.make_opsetid("", 20)])
    refuse(lambda model: model.functions.append(function), "field of number 25")
    refuse(lambda model: model.training_info.add(), "field of number 20")
    sparse = onnx.SparseTensorProto(dims=[10**12])
    refuse(lambda model: model.graph.sparse_initializer.append(sparse), "field of number 15")


@pytest.mark.parametrize("dims", [[10**12], [2**62, 4], [-1], [], [0], [1] * 40, [2**63 - 1]])
def test_tensors_are_as_large_as_they_say(dims, refuse):
    def forge(model):
        tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        tensor.dims[:] = dims

    refuse(forge, r"tensor .* (does not hold the \d+ elements|is of a type or shape)")


@pytest.mark.parametrize(
    ("node", "size"),
    [
        (helper.make_node("ConstantOfShape", ["n"], ["out"]), [10**12]),
        (helper.make_node("Expand", ["images", "n"], ["out"]), [10**6, 10**6]),
        (helper.make_node("Tile", ["images", "n"], ["out"]), [1, 10**10, 1, 1]),
        (helper.make_node("Pad", ["images", "n"], ["out"]), [0, 10**8, 0, 0, 0, 0, 0, 0]),
        (helper.make_node("Resize", ["images", "", "", "n"], ["out"]), [1, 10**6, 10**6, 3]),
        (helper.make_node("Resize", ["images", "", "n"], ["out"]), [1.0, 1e5, 1e5, 1.0]),
        (helper.make_node("Resize", ["images", "", "n"], ["out"]), [1.0, np.inf, 1.0, 1.0]),
        (helper.make_node("Resize", ["images", "", "n"], ["out"]), [1.0, np.nan, 1.0, 1.0]),
        (helper.make_node("Range", ["n", "n", "n"], ["out"]), 10**12),
        (helper.make_node("OneHot", ["images", "n", "v"], ["out"]), 10**12),
    ],
    ids=lambda value: getattr(value, "op_type", None),
)
def test_results_as_large_as_constants_say(node, size, refuse):
    scale = isinstance(size, list) and isinstance(size[0], float)
    values = np.array(size, np.float32 if scale else np.int64)
    constant = numpy_helper.from_array(values, "n")
    refuse(add(node, constants=[constant]), rf"{node.op_type} makes a tensor of size \[")
    written = helper.make_node("Constant", [], ["n"], value=constant)
    refuse(add(written, node), rf"{node.op_type} makes a tensor of size \[")


def double(model, name="c", rounds=60):
    for k in range(rounds):
        model.graph.node.append(helper.make_node("Concat", [name, name], [f"c{k}"], axis=0))
        name = f"c{k}"


def test_what_constants_make_of_themselves_on_loading(refuse):
    large = int64("c", [10**6])
    product = helper.make_node("Mul", ["c", "c"], ["n"])
    for kind in ("ConstantOfShape", "Expand", "Tile"):
        inputs = ["n"] if kind == "ConstantOfShape" else ["c", "n"]
        node = helper.make_node(kind, inputs, ["out"])
        refuse(add(product, node, constants=[large]), "of a size that is computed from constants")
    row = numpy_helper.from_array(np.ones((20_000, 1), np.float32), "row")
    flat = helper.make_node("Transpose", ["row"], ["flat"], perm=[1, 0])
    outer = helper.make_node("MatMul", ["row", "flat"], ["outer"])
    refuse(add(flat, outer, constants=[row]), "MatMul makes a huge tensor from constants")
    outer = helper.make_node("Add", ["row", "flat"], ["outer"])
    wide = numpy_helper.from_array(np.ones((1, 20_000), np.float32), "flat")
    refuse(add(outer, constants=[row, wide]), "Add makes a huge tensor from constants")

    def double_constants(model):
        model.graph.initializer.append(large)
        double(model)

    refuse(double_constants, "Concat makes a huge tensor from constants")


def test_results_of_a_size_that_is_computed_of_images(path, tmp_path):
    model = onnx.load(path)
    entry = next(entry for entry in model.metadata_props if entry.key == "imgfeat_sha256")
    entry.value = "0" * 64
    first = [
        helper.make_node("Shape", ["images"], ["shape"], start=1, end=2),
        helper.make_node("Mul", ["shape", "many"], ["n"]),
        helper.make_node("ConstantOfShape", ["n"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Cast", ["zero"], ["none"], to=TensorProto.UINT8),
        helper.make_node("Add", ["images", "none"], ["shifted"]),
    ]
    model.graph.initializer.append(int64("many", [10**12]))
    for node in model.graph.node:
        node.input[:] = ["shifted" if name == "images" else name for name in node.input]
    for place, node in enumerate(first):
        model.graph.node.insert(place, node)
    forged = tmp_path / "m.onnx"
    forged.write_bytes(serialize_with_hash(model))
    with pytest.raises(ModelFileError, match=r"m\.onnx"):
        load_onnx(forged).predict(TEST.images[:3])


def test_declared_shapes(refuse):
    def forge(model):
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 10**12

    refuse(forge, "type or shape that imgfeat does not write")


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("nodes_truenodeids", 0, 10**9, "a child that is not a node"),
        ("nodes_truenodeids", 0, 0, "whose nodes do not form trees"),
        ("nodes_falsenodeids", 0, -5, "a child that is not a node"),
        ("nodes_featureids", 0, -1, "columns below 0"),
        ("nodes_nodeids", 1, 10**9, "a child that is not a node|leaves are not among its nodes"),
        ("target_ids", 0, 10**9, "columns beyond its n_targets"),
        ("target_nodeids", 0, 10**9, "leaves are not among its nodes"),
        ("nodes_featureids", None, 3, "does not have one entry for each node"),
        ("target_ids", None, 0, "leaf attributes differ in length"),
    ],
)
def test_trees_are_trees(name, place, value, message, refuse):
    def forge(model):
        ints = find_attribute(find(model, "TreeEnsembleRegressor"), name).ints
        if place is None:
            ints.append(value)
        else:
            ints[place] = value

    refuse(forge, message)


def test_a_column_that_is_not_there(refuse, path, tmp_path):
    """ONNX Runtime or we refuse it: no memory beyond the features is read."""
    model = onnx.load(path)
    features = find_attribute(find(model, "TreeEnsembleRegressor"), "nodes_featureids").ints
    features[:] = [10**9] * len(features)
    next(entry for entry in model.metadata_props if entry.key == "imgfeat_sha256").value = "0" * 64
    forged = tmp_path / "columns.onnx"
    forged.write_bytes(serialize_with_hash(model))
    with pytest.raises(ModelFileError):
        load_onnx(forged).predict(TEST.images[:3])


def note(edit):
    def forge(model):
        entry = next(entry for entry in model.metadata_props if entry.key == "imgfeat_pipeline")
        notes = json.loads(entry.value)
        entry.value = json.dumps(edit(notes) or notes)

    return forge


@pytest.mark.parametrize(
    "edit",
    [
        lambda notes: notes.pop("kind") and None,
        lambda notes: notes.pop("input") and None,
        lambda notes: notes.pop("versions") and None,
        lambda notes: notes.pop("classes") and None,
        lambda notes: notes.update(classes_dtype="<U500000000"),
        lambda notes: notes.update(classes_dtype="V8"),
        lambda notes: notes.update(classes_dtype="f8"),
        lambda notes: notes.update(classes_dtype=["U", 3]),
        lambda notes: notes.update(classes=[["a"], "b", None]),
        lambda notes: notes.update(classes=[1, 2, 3], classes_dtype="i8"),
        lambda notes: notes.update(kind="transformer"),
        lambda notes: notes["input"].update(shape=[10**9, 10**9, 3]),
        lambda notes: notes["input"].update(shape=[24, 24]),
        lambda notes: notes["input"].update(shape=[None, None, 3]),
        lambda notes: notes["input"].update(shape="abc"),
        lambda notes: notes["input"]["loader"].update(resize="x"),
        lambda notes: notes["input"]["loader"].update(color="gray"),
        lambda notes: notes["input"]["loader"].update(max_pixels="all"),
        lambda notes: notes["input"]["loader"].update(value_range=[1, {}]),
        lambda notes: notes["input"]["loader"].update(value_range="x"),
        lambda notes: notes["input"]["loader"].update(items=3),
        lambda notes: notes["input"]["loader"].pop("max_pixels") and None,
        lambda notes: [notes],
        lambda notes: "text",
    ],
)
def test_notes_that_cannot_be(edit, refuse):
    refuse(note(edit), "its imgfeat metadata is damaged|Cannot load model")


def test_notes_that_are_no_json(refuse):
    def nest(model):
        model.metadata_props[0].value = "[" * 200_000

    refuse(nest, "its imgfeat metadata is damaged")

    def number(model):
        model.metadata_props[0].value = "9" * 10_000

    refuse(number, "its imgfeat metadata is damaged")


def test_names_that_are_no_text(path, tmp_path):
    content = path.read_bytes()
    forged = tmp_path / "m.onnx"
    for name in (b"images", b"label", b"imgfeat_pipeline", b"imgfeat_sha256", b"classes"):
        forged.write_bytes(content.replace(name, b"\xff" * len(name)))
        with pytest.raises(ModelFileError):
            load_onnx(forged)


def test_a_graph_that_fails_on_images(path, tmp_path):
    model = onnx.load(path)
    find(model, "TreeEnsembleRegressor").input[0] = "wrong"
    shape = int64("shape", [7, 11])
    model.graph.initializer.append(shape)
    model.graph.node.insert(0, helper.make_node("Cast", ["images"], ["floats"], to=1))
    model.graph.node.insert(1, helper.make_node("Reshape", ["floats", "shape"], ["wrong"]))
    next(entry for entry in model.metadata_props if entry.key == "imgfeat_sha256").value = "0" * 64
    forged = tmp_path / "m.onnx"
    forged.write_bytes(serialize_with_hash(model))
    with pytest.raises(ModelFileError, match=r"m\.onnx"):
        load_onnx(forged).predict(TEST.images[:3])


def test_fields_are_read_with_bounds():
    fields = {1: Field(VARINT), 2: Field(BYTES), 3: Field(VARINT, repeated=True), 4: Field(FIXED32)}
    sound = helper.make_attribute("name", [1, -5, 2**40, *range(500)]).SerializeToString()
    shared = {1: Field(BYTES), 8: Field(VARINT, repeated=True), 20: Field(VARINT)}
    values = read_message(memoryview(sound), shared)
    assert values[8].tolist() == [1, -5, 2**40, *range(500)]
    for data, message in [
        (b"\x08", "ends within a number"),
        (b"\x08\x80", "ends within a number"),
        (b"\x08" + b"\xff" * 11, "more than ten bytes"),
        (b"\x12\x05ab", "ends within a field"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "ends within a field"),
        (b"\x08\x01\x08\x01", "occurs twice"),
        (b"\x28\x01", "number 5"),
        (b"\x0a\x00", "another wire type"),
        (b"\x0b\x0c", "another wire type"),
        (b"\x1a\x02\x01\x80", "ends within a number"),
        (b"\x25\x00\x00", "ends within a field"),
        (b"\x00", "number 0"),
    ]:
        with pytest.raises(WireError, match=message):
            read_message(memoryview(data), fields)
