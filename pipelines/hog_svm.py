"""Shape: HOG features with an RBF support vector machine and calibrated probabilities."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.pipeline import Pipeline

from imgfeat import HOG, ImageLoader
from imgfeat.heads import svm


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("hog", HOG()),
            ("head", svm(probability=True, random_state=random_state)),
        ]
    )


SPACE = {
    "load__size": CategoricalDistribution([48, 64, 96]),
    "hog__orientations": CategoricalDistribution([6, 9, 12]),
    "hog__pixels_per_cell": CategoricalDistribution([6, 8, 12]),
    "head__svm__estimator__estimator__C": FloatDistribution(0.1, 100, log=True),
    "head__svm__estimator__estimator__gamma_factor": FloatDistribution(0.1, 5, log=True),
}
