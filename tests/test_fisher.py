import numpy as np
import pytest
import skimage.feature
from helpers.patches import GRAYS, cut, project
from sklearn.mixture import GaussianMixture

from imgfeat import FisherVector


@pytest.fixture(scope="module")
def fisher():
    return FisherVector("patch", 3, 8, patch_size=6, stride=2, random_state=0).fit(GRAYS)


@pytest.mark.parametrize("improved", [False, True])
@pytest.mark.parametrize("grid", [1, 2])
def test_vectors_are_scikit_images(fisher, improved, grid):
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


def test_it_projects_onto_principal_components(fisher):
    patches = np.concatenate([cut(image, 6, 2).reshape(-1, 36) for image in GRAYS])
    _, _, components = np.linalg.svd(patches - patches.mean(axis=0), full_matrices=False)
    aligned = np.abs((components[:8] @ fisher.projection_).diagonal())
    np.testing.assert_allclose(aligned, 1, atol=1e-3)


def test_short_descriptors_stay_as_they_are():
    fisher = FisherVector("patch", 2, 64, patch_size=3, random_state=0).fit(GRAYS)
    assert fisher.means_.shape == (2, 9)
    assert fisher.transform(GRAYS).shape == (3, 2 + 2 * 2 * 9)


def test_names_say_cell_statistic_and_component(fisher):
    names = fisher.get_feature_names_out()
    assert names[[2, 3, 26, 27, 50]].tolist() == [
        "fisher_y0_x0_weight2",
        "fisher_y0_x0_mean0_0",
        "fisher_y0_x0_mean2_7",
        "fisher_y0_x0_variance0_0",
        "fisher_y0_x0_variance2_7",
    ]


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
def test_parameters_are_checked(parameters, message):
    images = GRAYS[:, :30] if "descriptor" in parameters else GRAYS
    with pytest.raises(ValueError, match=message):
        FisherVector(**{"n_modes": 50, **parameters}).fit(images)
