import cv2
import numpy as np
import pytest
import skimage.feature
from numpy.lib.stride_tricks import sliding_window_view
from scipy.spatial.distance import cdist
from skimage import data
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import pairwise_distances_argmin
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

from imgfeat import BagOfVisualWords, FisherVector, load_model, save_model
from imgfeat._blas import one_blas_thread
from imgfeat.datasets import load_textures
from imgfeat.features import _local_features
from imgfeat.features._patches import choose_describer, sample_descriptors

GRAYS = np.stack([p[60:100, 150:185] for p in (data.camera(), data.brick(), data.grass())])


def cut(image, size, stride):
    """Patches (rows, columns, length), less their mean, over the root of variance plus 10."""
    planes = image.reshape(*image.shape[:2], -1).astype(float)
    windows = sliding_window_view(planes, (size, size), axis=(0, 1))[::stride, ::stride]
    patches = np.moveaxis(windows, 2, -1).reshape(*windows.shape[:2], -1)
    excess = patches - patches.mean(axis=2, keepdims=True)
    return excess / np.sqrt(excess.var(axis=2, keepdims=True) + 10)


def describe(image, kind="patch", size=6, stride=3, color=False, keypoints="dense"):
    """The descriptors of one image, and their places."""
    describer = choose_describer(kind, size, stride, color, keypoints)
    blocks = list(describer.describe(image, 10**6))
    assert len(blocks) <= 1
    return blocks[0] if blocks else None


def project(bag, image):
    patches = cut(image, bag.patch_size, bag.stride)
    return (patches - bag.center_) @ bag.projection_


@pytest.fixture(scope="module")
def bag():
    return BagOfVisualWords(n_words=12, patch_size=6, stride=3, random_state=0).fit(GRAYS)


@pytest.fixture(scope="module")
def fisher():
    return FisherVector("patch", 3, 8, patch_size=6, stride=2, random_state=0).fit(GRAYS)


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


def test_whitened_patches_are_white(bag):
    patches = np.concatenate([cut(image, 6, 3).reshape(-1, 36) for image in GRAYS])
    whitened = (patches - bag.center_) @ bag.projection_
    before = np.linalg.eigvalsh(np.cov(patches.T, bias=True))
    after = np.linalg.eigvalsh(np.cov(whitened.T, bias=True))
    np.testing.assert_allclose(after, before / (before + 0.1), atol=1e-4)
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=1e-5)
    # ZCA, not PCA: the whitened patch still looks like the patch.
    np.testing.assert_allclose(bag.projection_, bag.projection_.T, atol=1e-6)


def test_hard_assignment_counts_the_nearest_word(bag):
    for image, row in zip(GRAYS, bag.transform(GRAYS), strict=True):
        nearest = pairwise_distances_argmin(project(bag, image).reshape(-1, 36), bag.words_)
        expected = np.bincount(nearest, minlength=12) / len(nearest)
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_triangle_assignment_is_the_papers(bag):
    bag = BagOfVisualWords(**{**bag.get_params(), "assignment": "triangle"}).fit(GRAYS)
    for image, row in zip(GRAYS, bag.transform(GRAYS), strict=True):
        distances = cdist(project(bag, image).reshape(-1, 36), bag.words_)
        expected = np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0).mean(axis=0)
        np.testing.assert_allclose(row, expected, atol=2e-6)
        assert (row > 0).any()


def test_words_are_centres_of_their_descriptors(bag):
    patches = np.concatenate([project(bag, image).reshape(-1, 36) for image in GRAYS])
    nearest = pairwise_distances_argmin(patches, bag.words_)
    means = np.stack([patches[nearest == k].mean(axis=0) for k in range(12)])
    own = np.linalg.norm(means - bag.words_, axis=1)
    others = cdist(means, bag.words_) + np.where(np.eye(12), np.inf, 0)
    assert (own < 0.5 * others.min(axis=1)).mean() > 0.8


@pytest.mark.parametrize("norm", [None, "l2", "power"])
def test_pyramid_pools_over_parts_of_the_lattice(norm):
    bag = BagOfVisualWords(
        n_words=5, patch_size=6, stride=3, grid=(1, 2), norm=norm, random_state=0
    ).fit(GRAYS)
    n_rows, n_columns = (40 - 6) // 3 + 1, (35 - 6) // 3 + 1
    assert (n_rows, n_columns) == (12, 10)
    for image, row in zip(GRAYS, bag.transform(GRAYS).reshape(3, 5, 5), strict=True):
        whitened = project(bag, image)
        words = pairwise_distances_argmin(whitened.reshape(-1, 36), bag.words_).reshape(12, 10)
        parts = [words, words[:6, :5], words[:6, 5:], words[6:, :5], words[6:, 5:]]
        for cell, part in zip(row, parts, strict=True):
            expected = np.bincount(part.ravel(), minlength=5) / part.size
            if norm is not None:
                expected = np.sqrt(expected) if norm == "power" else expected
                expected = expected / np.sqrt((expected**2).sum())
            np.testing.assert_allclose(cell, expected, atol=1e-6)


def test_the_length_of_blocks_hardly_matters(bag, fisher, monkeypatch):
    expected = bag.transform(GRAYS), fisher.transform(GRAYS)
    monkeypatch.setattr(_local_features, "PRODUCTS_AT_ONCE", 1)
    for transformer, rows in zip((bag, fisher), expected, strict=True):
        np.testing.assert_allclose(transformer.transform(GRAYS), rows, atol=1e-5)


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


@pytest.mark.parametrize("kind", ["sift", "orb"])
def test_detected_keypoints_lie_in_their_cells(kind):
    texture = data.brick()[:80, :80]
    images = np.full((4, 160, 160), 128, np.uint8)
    for k in range(4):
        y, x = 80 * (k // 2), 80 * (k % 2)
        images[k, y + 15 : y + 65, x + 15 : x + 65] = texture[15:65, 15:65]
    bag = BagOfVisualWords(kind, n_words=3, keypoints="detect", grid=2, random_state=0).fit(images)
    filled = bag.transform(images).reshape(4, 4, 3).sum(axis=2)
    np.testing.assert_allclose(filled, np.eye(4), atol=1e-6)


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


@pytest.mark.parametrize("improved", [False, True])
@pytest.mark.parametrize("grid", [1, 2])
def test_fisher_vectors_are_scikit_images(fisher, improved, grid):
    fisher = FisherVector(**{**fisher.get_params(), "improved": improved, "grid": grid}).fit(GRAYS)
    mixture = GaussianMixture(3, covariance_type="diag")
    mixture.weights_, mixture.means_ = fisher.weights_, fisher.means_
    mixture.covariances_ = fisher.covariances_
    mixture.precisions_cholesky_ = 1 / np.sqrt(fisher.covariances_)
    for image, row in zip(GRAYS, fisher.transform(GRAYS), strict=True):
        values = project(fisher, image)
        middle = [n // 2 for n in values.shape[:2]]
        parts = [
            values[y, x]
            for y in (slice(middle[0]), slice(middle[0], None))
            for x in (slice(middle[1]), slice(middle[1], None))
        ]
        expected = [
            skimage.feature.fisher_vector(part.reshape(-1, 8), mixture, improved=improved)
            for part in (parts if grid == 2 else [values])
        ]
        np.testing.assert_allclose(row, np.ravel(expected), atol=2e-4, rtol=1e-4)


def test_fisher_projects_onto_principal_components(fisher):
    patches = np.concatenate([cut(image, 6, 2).reshape(-1, 36) for image in GRAYS])
    _, _, components = np.linalg.svd(patches - patches.mean(axis=0), full_matrices=False)
    aligned = np.abs((components[:8] @ fisher.projection_).diagonal())
    np.testing.assert_allclose(aligned, 1, atol=1e-3)


def test_fisher_keeps_short_descriptors_as_they_are():
    fisher = FisherVector("patch", 2, 64, patch_size=3, random_state=0).fit(GRAYS)
    assert fisher.means_.shape == (2, 9)
    assert fisher.transform(GRAYS).shape == (3, 2 + 2 * 2 * 9)


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


def test_the_codebook_depends_on_random_state_alone():
    kwargs = {"n_words": 6, "patch_size": 6, "n_samples": 200}
    first = BagOfVisualWords(**kwargs, random_state=0).fit(GRAYS).words_
    again = BagOfVisualWords(**kwargs, random_state=0, n_jobs=2).fit(GRAYS).words_
    other = BagOfVisualWords(**kwargs, random_state=1).fit(GRAYS).words_
    np.testing.assert_array_equal(again, first)
    assert np.abs(other - first).max() > 0.01


def test_they_learn_and_say_so(bag):
    for transformer in (BagOfVisualWords(), FisherVector()):
        assert transformer.__sklearn_tags__().requires_fit
        with pytest.raises(NotFittedError):
            transformer.transform(GRAYS)
        with pytest.raises(NotFittedError):
            transformer.get_feature_names_out()
    assert bag.__sklearn_is_fitted__()


def test_names_say_cell_and_word(bag, fisher):
    assert bag.get_feature_names_out()[[0, 11]].tolist() == ["word_y0_x0_0", "word_y0_x0_11"]
    pyramid = BagOfVisualWords(n_words=2, grid=(1, 2), random_state=0).fit(GRAYS)
    assert pyramid.get_feature_names_out()[[1, 2, 9]].tolist() == [
        "word_1x1_y0_x0_1",
        "word_2x2_y0_x0_0",
        "word_2x2_y1_x1_1",
    ]
    names = fisher.get_feature_names_out()
    assert names[[2, 3, 26, 27, 50]].tolist() == [
        "fisher_y0_x0_weight2",
        "fisher_y0_x0_mean0_0",
        "fisher_y0_x0_mean2_7",
        "fisher_y0_x0_variance0_0",
        "fisher_y0_x0_variance2_7",
    ]


def test_they_are_kept_without_pickle(bag, fisher, tmp_path):
    for transformer in (bag, fisher):
        name = f"imgfeat.features.words.{type(transformer).__name__}"
        save_model(transformer, tmp_path / "model.skops")
        loaded = load_model(tmp_path / "model.skops", trusted=(name,))
        np.testing.assert_array_equal(loaded.transform(GRAYS), transformer.transform(GRAYS))


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


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_words": 0}, "n_words"),
        ({"n_words": 400}, "n_words=400 needs at least 400 local .* got 189 from 3 image"),
        ({"n_words": 60, "n_samples": 50}, "Take a larger n_samples than 50"),
        ({"patch_size": 36}, "patch_size=36 needs images of at least 36 x 36 .* got 40 x 35"),
        ({"descriptor": "sift", "patch_size": 36}, "patch_size=36 needs images of at least"),
        ({"grid": 8}, "grid=8 needs images of at least 8 x 8 descriptors, got 9 x 7"),
        ({"grid": (1, 1)}, r"grid must be .* different ones, got \(1, 1\)"),
        ({"grid": ()}, "grid must be"),
        ({"grid": (0,)}, "grid must be"),
        ({"assignment": "soft"}, "assignment"),
        ({"descriptor": "surf"}, "descriptor"),
        ({"descriptor": "sift", "color": True}, "color=True goes with descriptor='patch'"),
        ({"keypoints": "detect"}, "keypoints='detect' goes with descriptor='sift' or 'orb'"),
        ({"descriptor": "orb", "keypoints": "detect"}, "ORB's patch_size=31 needs .* got 9 x 35"),
        ({"norm": "l1"}, "norm"),
        ({"random_state": "chance"}, "random_state"),
    ],
)
def test_parameters_are_checked(parameters, message):
    images = GRAYS[:, :9] if parameters.get("descriptor") == "orb" else GRAYS
    with pytest.raises(ValueError, match=message):
        BagOfVisualWords(**{"n_words": 10, "random_state": 0, **parameters}).fit(images)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_modes": 0}, "n_modes"),
        ({"n_components": 0}, "n_components"),
        ({"n_samples": 5}, "n_modes=50 needs at least 50"),
        ({"n_modes": 1, "n_samples": 1}, "n_modes=1 needs at least 2"),
        ({"descriptor": "orb", "patch_size": 8}, "ORB's patch_size=31 needs images"),
    ],
)
def test_parameters_of_fisher_vectors_are_checked(parameters, message):
    images = GRAYS[:, :30] if "descriptor" in parameters else GRAYS
    with pytest.raises(ValueError, match=message):
        FisherVector(**{"n_modes": 50, **parameters}).fit(images)
