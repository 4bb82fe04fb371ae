import cv2
import numpy as np
import pytest
from helpers.patches import GRAYS, cut
from skimage import data
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

from imgfeat import BagOfVisualWords, FisherVector, load_model, save_model
from imgfeat._blas import one_blas_thread
from imgfeat.datasets import load_textures
from imgfeat.features import _local_features
from imgfeat.features._patches import choose_describer, sample_descriptors

both = pytest.mark.parametrize(
    "transformer",
    [
        BagOfVisualWords(n_words=12, patch_size=6, stride=3, random_state=0),
        FisherVector("patch", 3, 8, patch_size=6, stride=2, random_state=0),
    ],
    ids=["words", "fisher"],
)


def describe(image, kind="patch", size=6, stride=3, color=False, keypoints="dense"):
    """The descriptors of one image, and their places."""
    describer = choose_describer(kind, size, stride, color, keypoints)
    blocks = list(describer.describe(image, 10**6))
    assert len(blocks) <= 1
    return blocks[0] if blocks else None


@pytest.mark.parametrize(("size", "stride"), [(6, 1), (5, 3), (8, 4), (1, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_patches_are_numpys(size, stride, dtype):
    image = GRAYS[0] if dtype == np.uint8 else (GRAYS[0] / 255).astype(dtype)
    patches, _ = describe(image[..., np.newaxis], "patch", size, stride)
    expected = cut(GRAYS[0], size, stride).reshape(-1, size**2)
    np.testing.assert_allclose(patches, expected, atol=1e-5)


def test_color_patches_hold_all_channels(photographs):
    patches, _ = describe(photographs[0], size=5, stride=4, color=True)
    np.testing.assert_allclose(patches, cut(photographs[0], 5, 4).reshape(-1, 75), atol=1e-5)
    gray = photographs[..., :1]
    colored = BagOfVisualWords(n_words=8, color=True, random_state=0).fit(photographs)
    np.testing.assert_array_equal(
        colored.transform(gray), colored.transform(np.repeat(gray, 3, axis=3))
    )


@pytest.mark.parametrize("at_once", [1, 30, 100])
def test_blocks_hold_the_descriptors_in_order(at_once):
    for kind in ("patch", "sift"):
        describer = choose_describer(kind, 8, 3, False, "dense")
        (whole,) = describer.describe(GRAYS[0][..., None], 10**6)
        blocks = list(describer.describe(GRAYS[0][..., None], at_once))
        assert len(blocks) > 1
        joined = np.concatenate([block.descriptors for block in blocks])
        np.testing.assert_array_equal(joined, whole.descriptors)
        numbers = np.arange(len(joined))
        places = np.concatenate(
            [numbers[b.places] if kind == "patch" else b.places for b in blocks]
        )
        np.testing.assert_array_equal(places, numbers)


def test_dense_sift_is_opencvs_rooted(photographs):
    gray = cv2.cvtColor(photographs[0], cv2.COLOR_RGB2GRAY)
    roots, places = describe(gray[..., np.newaxis], "sift", 24, 10)
    assert roots.shape == (25, 128)
    np.testing.assert_array_equal(places, np.arange(25))
    np.testing.assert_allclose((roots**2).sum(axis=1), 1, atol=1e-5)
    # The middle of the patch in row 1, column 3 is at x = 30 + 12, y = 10 + 12.
    keypoint = cv2.KeyPoint(42, 22, 4, 0)
    _, expected = cv2.SIFT_create().compute(gray, [keypoint])
    np.testing.assert_allclose(roots[8] ** 2, expected[0] / expected.sum(), atol=1e-6)


def test_dense_sift_sees_its_patch_and_no_more():
    image = data.camera()[100:180, 200:280].copy()
    before, _ = describe(image[..., None], "sift", 16, 16)
    # A change 20 pixels from the first patch: farther than its cells and their blur reach.
    image[40:, 40:] = 0
    after, _ = describe(image[..., None], "sift", 16, 16)
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[-1] - before[-1]).max() > 0.1


def test_dense_orb_gives_bits_for_every_place(photographs):
    bits, places = describe(photographs[0], "orb", stride=11)
    assert bits.shape == (16, 256)
    np.testing.assert_array_equal(places, np.arange(16))
    assert set(np.unique(bits)) == {0, 1}
    # The last pattern of 31 x 31 pixels ends with the 64th.
    assert describe(photographs[0], "orb", stride=33).descriptors.shape == (4, 256)
    assert describe(photographs[0], "orb", stride=34).descriptors.shape == (1, 256)


def test_sample_takes_as_many_from_every_image():
    images = np.stack([np.full((40, 35, 1), 0, np.uint8), GRAYS[0][..., np.newaxis]])
    describer = choose_describer("patch", 6, 1, False, "dense")
    samples = sample_descriptors(images, describer, 100, np.random.RandomState(0), 1)
    assert samples.shape == (100, 36)
    assert (samples == 0).all(axis=1).sum() == 50
    everything = sample_descriptors(images, describer, 10**6, np.random.RandomState(0), 2)
    assert len(everything) == 2 * 35 * 30
    few = sample_descriptors(
        np.repeat(images, 20, axis=0), describer, 32, np.random.RandomState(0), 1
    )
    assert len(few) == 32


def test_matrix_products_keep_to_one_thread_until_the_last_has_gone():
    def threads():
        return [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]

    before = threads()
    with one_blas_thread():
        with one_blas_thread():
            assert set(threads()) == {1}
        assert set(threads()) == {1}
    assert threads() == before
    with pytest.raises(RuntimeError, match="inside"), one_blas_thread():
        raise RuntimeError("inside")
    assert threads() == before


@both
def test_the_length_of_blocks_hardly_matters(transformer, monkeypatch):
    expected = transformer.fit(GRAYS).transform(GRAYS)
    monkeypatch.setattr(_local_features, "PRODUCTS_AT_ONCE", 1)
    np.testing.assert_allclose(transformer.transform(GRAYS), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["sift", "orb"])
def test_images_without_keypoints_become_zeros(kind, photographs):
    flat = np.full((2, 64, 64), 90, np.uint8)
    for transformer in (
        BagOfVisualWords(kind, n_words=3, keypoints="detect", random_state=0),
        FisherVector(kind, 2, 4, keypoints="detect", random_state=0),
    ):
        transformer.fit(photographs)
        assert not transformer.transform(flat).any()
        assert transformer.transform(photographs).any(axis=1).all()
        with pytest.raises(ValueError, match=r"n_(words|modes)=\d needs .* got 0 from 2 image"):
            transformer.fit(flat)


@pytest.mark.parametrize(
    "transformer",
    [
        BagOfVisualWords(n_words=30, patch_size=6, stride=4, assignment="triangle"),
        BagOfVisualWords("sift", 30, patch_size=16, norm="power"),
        FisherVector(n_modes=4, n_components=16),
    ],
    ids=repr,
)
def test_textures_are_told_apart(transformer):
    train, test = load_textures("train"), load_textures("test")
    pipeline = make_pipeline(
        transformer.set_params(random_state=0), StandardScaler(), LogisticRegression(max_iter=500)
    )
    pipeline.fit(train.images, train.target)
    assert pipeline.score(test.images, test.target) > 0.9


@both
def test_they_learn_and_say_so(transformer):
    unfitted = clone(transformer)
    assert unfitted.__sklearn_tags__().requires_fit
    with pytest.raises(NotFittedError):
        unfitted.transform(GRAYS)
    with pytest.raises(NotFittedError):
        unfitted.get_feature_names_out()
    assert unfitted.fit(GRAYS).__sklearn_is_fitted__()


@both
def test_they_are_kept_without_pickle(transformer, tmp_path):
    save_model(transformer.fit(GRAYS), tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    np.testing.assert_array_equal(loaded.transform(GRAYS), transformer.transform(GRAYS))
