"""ImageLoader in an ONNX graph: the same pixels, to the last bit."""

import numpy as np
import pytest
import skl2onnx
from helpers.exported import export, run_batches
from skimage import data
from skl2onnx.common.data_types import UInt8TensorType
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from imgfeat import Batched, ColorHistogram, ImageLoader
from imgfeat.export import register_converters


def cut(height, width):
    """Six parts of photographs, RGB."""
    pictures = (data.astronaut(), data.coffee(), data.rocket())
    return np.stack([p[y : y + height, y : y + width] for p in pictures for y in (20, 90)])


def compare(loader, images):
    found = run_batches(export(loader, images.shape[1:]), images)
    expected = loader.transform(images)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    # None of it is trivial.
    assert len(np.unique(expected)) > 50


# Whole blocks, of four and of other numbers; ties at 3 / 4 and 5 / 6; many parts of pixels.
SHRUNK = [(64, 64), (32, 32), (32, 128), (96, 96), (107, 60), (127, 31), (128, 100), (90, 128)]
# Twice, odd shares, one side alone, and one side up while the other goes down.
ENLARGED = [(256, 256), (160, 224), (131, 128), (128, 200), (64, 160), (300, 100)]


@pytest.mark.parametrize("color", ["rgb", "gray"])
@pytest.mark.parametrize("size", SHRUNK + ENLARGED)
def test_stretched_images_are_opencvs(size, color):
    compare(ImageLoader(size, color=color), cut(128, 128))


@pytest.mark.parametrize("size", [64, (50, 90), (200, 40), 250])
@pytest.mark.parametrize("shape", [(160, 100), (97, 181), (30, 200)])
@pytest.mark.parametrize("resize", ["crop", "pad"])
def test_cropped_and_padded_images(resize, shape, size):
    compare(ImageLoader(size, resize=resize), cut(*shape))


@pytest.mark.parametrize("size", [1, 2, 17])
def test_tiny_images(size):
    images = cut(5, 3)
    found = run_batches(export(ImageLoader(size), images.shape[1:]), images)
    np.testing.assert_array_equal(found, ImageLoader(size).transform(images))


@pytest.mark.parametrize("color", ["rgb", "gray"])
@pytest.mark.parametrize("shape", [(64, 64, 3), (64, 64, 1), (64, 64)])
def test_colours_of_images_of_their_own_size(shape, color):
    images = cut(64, 64)[..., : shape[2] if len(shape) == 3 else 1].reshape(-1, *shape)
    compare(ImageLoader(64, color=color), images)


def test_gray_images_enlarged_for_colours():
    compare(ImageLoader(96), cut(64, 64)[..., 0])


def test_noise_is_as_exact_as_photographs():
    noise = np.random.default_rng(0).integers(0, 256, (3, 120, 96, 3), np.uint8)
    compare(ImageLoader((96, 80)), noise)


def test_images_of_own_size_pass_at_no_cost():
    model = export(ImageLoader(64), (64, 64, 3))
    assert [node.op_type for node in model.graph.node] == ["Identity"]


def test_alpha_is_refused():
    with pytest.raises(NotImplementedError, match=r"1 or 3 channels, got \(64, 64, 4\)"):
        export(ImageLoader(64), (64, 64, 4))


def test_skl2onnx_converts_a_plain_pipeline():
    images = cut(100, 80)
    union = FeatureUnion(
        [
            ("color", ColorHistogram(grid=2)),
            ("small", make_pipeline(ImageLoader(32, color="gray"), ColorHistogram("rgb"))),
        ]
    )
    pipeline = make_pipeline(ImageLoader(64), union, StandardScaler()).fit(images)
    register_converters()
    types = [("images", UInt8TensorType([None, 100, 80, 3]))]
    model = skl2onnx.to_onnx(pipeline, initial_types=types, target_opset=20)
    expected = pipeline.transform(images)
    np.testing.assert_allclose(run_batches(model, images), expected, atol=1e-4)


@pytest.mark.parametrize("fitted", [True, False])
def test_batched_becomes_its_inside(fitted):
    images = cut(100, 80)
    union = FeatureUnion(
        [
            ("color", ColorHistogram(grid=2)),
            ("small", Batched(make_pipeline(ImageLoader(32, color="gray"), ColorHistogram()))),
        ]
    )
    stream = Batched(make_pipeline(ImageLoader(64), union), batch_size=4)
    expected = stream.transform(images)
    if fitted:
        stream = make_pipeline(stream, StandardScaler()).fit(images)
        expected = stream.transform(images)
    found = run_batches(export(stream, images.shape[1:]), images)
    np.testing.assert_allclose(found, expected, atol=1e-5)
