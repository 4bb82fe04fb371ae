import numpy as np
import pytest
from helpers.patches import GRAYS, cut, project
from scipy.spatial.distance import cdist
from skimage import data
from sklearn.metrics import pairwise_distances_argmin

from imgfeat import BagOfVisualWords


@pytest.fixture(scope="module")
def bag():
    return BagOfVisualWords(n_words=12, patch_size=6, stride=3, random_state=0).fit(GRAYS)


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


def test_the_codebook_depends_on_random_state_alone():
    kwargs = {"n_words": 6, "patch_size": 6, "n_samples": 200}
    first = BagOfVisualWords(**kwargs, random_state=0).fit(GRAYS).words_
    again = BagOfVisualWords(**kwargs, random_state=0, n_jobs=2).fit(GRAYS).words_
    other = BagOfVisualWords(**kwargs, random_state=1).fit(GRAYS).words_
    np.testing.assert_array_equal(again, first)
    assert np.abs(other - first).max() > 0.01


def test_names_say_cell_and_word(bag):
    assert bag.get_feature_names_out()[[0, 11]].tolist() == ["word_y0_x0_0", "word_y0_x0_11"]
    pyramid = BagOfVisualWords(n_words=2, grid=(1, 2), random_state=0).fit(GRAYS)
    assert pyramid.get_feature_names_out()[[1, 2, 9]].tolist() == [
        "word_1x1_y0_x0_1",
        "word_2x2_y0_x0_0",
        "word_2x2_y1_x1_1",
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_words": 0}, "n_words"),
        ({"n_words": 400}, "n_words=400 needs at least 400 local .* got 189 from 3 image"),
        ({"n_words": 60, "n_samples": 50}, "Use a larger n_samples than 50"),
        ({"patch_size": 36}, "patch_size=36 needs images of at least 36 x 36 .* got 40 x 35"),
        ({"descriptor": "sift", "patch_size": 36}, "patch_size=36 needs images of at least"),
        ({"grid": 8}, "grid=8 needs images of at least 8 x 8 descriptors, got 9 x 7"),
        ({"grid": (1, 1)}, r"grid must be .* different ones, got \(1, 1\)"),
        ({"grid": ()}, "grid must be"),
        ({"grid": (0,)}, "grid must be"),
        ({"assignment": "soft"}, "assignment"),
        ({"descriptor": "surf"}, "descriptor"),
        ({"descriptor": "sift", "color": True}, "color=True needs descriptor='patch'"),
        ({"keypoints": "detect"}, "keypoints='detect' needs descriptor='sift' or 'orb'"),
        ({"descriptor": "orb", "keypoints": "detect"}, "ORB's patch_size=31 needs .* got 9 x 35"),
        ({"norm": "l1"}, "norm"),
        ({"random_state": "chance"}, "random_state"),
    ],
)
def test_parameters_are_checked(parameters, message):
    images = GRAYS[:, :9] if parameters.get("descriptor") == "orb" else GRAYS
    with pytest.raises(ValueError, match=message):
        BagOfVisualWords(**{"n_words": 10, "random_state": 0, **parameters}).fit(images)
