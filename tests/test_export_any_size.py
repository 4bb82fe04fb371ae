"""Graphs that resize by themselves, and the lines of docs/ that serve them without imgfeat."""

import re
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from helpers.exported import open_session
from PIL import Image
from skimage import data
from skl2onnx import to_onnx as convert
from skl2onnx.common.data_types import UInt8TensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from imgfeat import HOG, ColorHistogram, ImageLoader
from imgfeat.datasets import load_textures
from imgfeat.export import ExportError, any_size, load_onnx, register_converters, to_onnx

PAGE = (Path(__file__).parents[1] / "docs" / "guide" / "serve.md").read_text()
TRAIN, TEST = load_textures("train"), load_textures("test")
PICTURES = {"brick": data.brick(), "grass": data.grass(), "gravel": data.gravel()}


def vary_size(picture, size):
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)


# Whole blocks, ties, odd shares; larger, smaller, the same, and one side of each.
SIZES = [
    (48, 40),
    (96, 80),
    (144, 120),
    (36, 60),
    (64, 48),
    (250, 331),
    (20, 13),
    (31, 200),
    (1, 7),
]


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("color", ["rgb", "gray"])
def test_pixels_are_opencvs(resize, color):
    register_converters()
    loader = ImageLoader((48, 40), color=color, resize=resize)
    channels = [3] if color == "rgb" else []
    types = [("images", UInt8TensorType([None, None, None, *channels]))]
    session = open_session(convert(loader, initial_types=types, target_opset=20))
    for size in SIZES:
        picture = vary_size(data.astronaut(), size)
        picture = picture if channels else np.ascontiguousarray(picture[..., 0])
        pair = np.stack([picture, picture[::-1]])
        (found,) = session.run(None, {"images": pair})
        np.testing.assert_array_equal(found, loader.transform(list(pair)))


@pytest.fixture(scope="module", params=["gray", "rgb"])
def served(request, tmp_path_factory):
    """A pipeline, its certificate, and the path of its file."""
    features = HOG() if request.param == "gray" else ColorHistogram(grid=2)
    head = LogisticRegression(C=100, max_iter=2000)
    model = make_pipeline(ImageLoader((64, 48), color=request.param), features, head)
    model.fit(TRAIN.images, TRAIN.target)
    path = tmp_path_factory.mktemp("served") / "m.onnx"
    return model, to_onnx(model, TEST.images[:12], path, resize=True), path


def write_odd_files(folder):
    """Write pictures of the kinds that a naive reader takes for others; return their paths."""
    rng = np.random.default_rng(0)
    for number in range(3):
        for name, whole in PICTURES.items():
            top, left = rng.integers(0, 200, 2)
            picture = np.ascontiguousarray(whole[top : top + 301, left : left + 257])
            photo = Image.fromarray(np.dstack([picture, picture // 2, picture]))
            exif = Image.Exif()
            exif[0x0112] = (3, 6, 8)[number]
            photo.save(folder / f"{name}{number}_turned.jpg", exif=exif)
            alpha = np.tile(np.linspace(0, 255, picture.shape[1], dtype=np.uint8), (301, 1))
            seen = Image.fromarray(np.dstack([np.asarray(photo), alpha]))
            seen.save(folder / f"{name}{number}_transparent.png")
            photo.quantize(16).save(folder / f"{name}{number}_palette.png", transparency=number)
            deep = picture.astype(np.uint16) * 257 + rng.integers(-90, 90, picture.shape)
            deep = np.clip(deep, 0, 65535).astype(np.uint16)
            Image.fromarray(deep).save(folder / f"{name}{number}_deep.png")
            Image.fromarray(picture[:30, :21]).save(folder / f"{name}{number}_small.png")
            large = cv2.resize(whole, (1100, 900), interpolation=cv2.INTER_LINEAR)
            Image.fromarray(large[number:]).save(folder / f"{name}{number}_large.png")
    return sorted(folder.iterdir())


def test_the_documentation_reads_files_as_load_onnx_does(served, tmp_path):
    model, _, path = served
    code = re.search(r"```py\n(.*?label, probabilities = .*?)```", PAGE, flags=re.DOTALL)[1]
    code = code.replace("model.onnx", str(path)).replace('"photo.jpg"', "path")
    code = compile(code, "docs/guide/serve.md", "exec")
    files = write_odd_files(tmp_path)
    ours = load_onnx(path)
    labels, probabilities = ours.predict(files), ours.predict_proba(files)
    np.testing.assert_array_equal(labels, model.predict(files))
    np.testing.assert_allclose(probabilities, model.predict_proba(files), atol=1e-4)
    assert len(set(labels)) == 3
    for row, file in enumerate(files):
        names = {"path": file}
        exec(code, names)
        assert names["label"].tolist() == [labels[row]], file
        np.testing.assert_allclose(names["probabilities"][0], probabilities[row], atol=1e-4)


def test_arrays_lists_and_nothing(served):
    model, certificate, path = served
    ours = load_onnx(path)
    assert certificate.holds
    assert (64, 48) in certificate.sizes
    assert "resizes in the graph, compared on images of 64x48, 128x96" in str(certificate)
    assert ours.metadata_["input"]["shape"][:2] == [None, None]
    np.testing.assert_allclose(
        ours.predict_proba(TEST.images), model.predict_proba(TEST.images), atol=1e-4
    )
    mixed = [TEST.images[0], data.coffee(), data.camera()[:40]]
    np.testing.assert_allclose(ours.predict_proba(mixed), model.predict_proba(mixed), atol=1e-4)
    assert ours.predict([]).shape == (0,)
    assert ours.predict_proba(TEST.images[:0]).shape == (0, 3)
    declared = onnxruntime.InferenceSession(str(path)).get_inputs()[0].shape
    assert declared[:3] == ["n", "height", "width"]


def test_there_is_an_image_loader_to_resize_as(tmp_path):
    model = make_pipeline(HOG(), LogisticRegression()).fit(TRAIN.images, TRAIN.target)
    with pytest.raises(ExportError, match=r"resize=True: the pipeline has no ImageLoader"):
        to_onnx(model, TEST.images[:5], tmp_path / "m.onnx", resize=True)


def test_a_graph_that_resizes_otherwise_is_not_written(served, tmp_path, monkeypatch):
    model, *_ = served
    sound = any_size.convert

    def convert_otherwise(plan, **options):
        if options.get("any_size"):
            loader = ImageLoader((64, 48), color=plan.loader.color, resize="pad").fit(plan.images)
            plan = any_size.Plan(plan.steps, loader, plan.images)
        return sound(plan, **options)

    monkeypatch.setattr(any_size, "convert", convert_otherwise)
    with pytest.raises(ExportError, match=r"resize=True: images of 193 x 101 pixels.*do not give"):
        to_onnx(model, TEST.images[:5], tmp_path / "m.onnx", resize=True)
    assert not (tmp_path / "m.onnx").exists()
