"""Visual words and Fisher vectors of patches in an ONNX graph."""

import numpy as np
import pytest
from helpers.exported import export, run_batches
from skimage import data

from imgfeat import BagOfVisualWords, FisherVector

COLOR = np.stack(
    [
        picture[y : y + 40, 150:190]
        for picture in (data.astronaut(), data.coffee(), data.chelsea())
        for y in (20, 90, 160)
    ]
)
GRAY = np.ascontiguousarray(COLOR[..., 1])


@pytest.mark.parametrize("images", [GRAY, COLOR])
@pytest.mark.parametrize(
    "parameters",
    [
        {"grid": 2},
        {"assignment": "triangle", "patch_size": 6, "stride": 3, "color": True, "norm": "l2"},
        {"grid": (1, 3), "norm": "power"},
    ],
)
def test_words(parameters, images):
    words = BagOfVisualWords(n_words=20, random_state=0, **parameters).fit(images)
    found = run_batches(export(words, images.shape[1:]), images)
    np.testing.assert_allclose(found, words.transform(images), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("images", [GRAY, COLOR])
@pytest.mark.parametrize("parameters", [{"improved": False}, {"grid": (1, 2), "color": True}])
def test_fisher_vectors(parameters, images):
    fisher = FisherVector(
        descriptor="patch", patch_size=8, n_modes=4, n_components=12, random_state=0, **parameters
    ).fit(images)
    # Square roots enlarge the rounding of what is nearly zero.
    found = run_batches(export(fisher, images.shape[1:]), images, atol=1e-5)
    expected = fisher.transform(images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("kind", [BagOfVisualWords, FisherVector])
@pytest.mark.parametrize("descriptor", ["sift", "orb"])
def test_keypoints_are_refused(kind, descriptor):
    features = kind(descriptor=descriptor).fit(np.tile(GRAY, (1, 2, 2)))
    with pytest.raises(NotImplementedError, match=rf"\(descriptor='{descriptor}'\).*='patch'"):
        export(features, (80, 80))
