"""Shape and texture: HOG and LBP features with one SVM on the mean of their RBF kernels."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat import HOG, LBP, ImageLoader
from imgfeat.heads import svm


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    families = FeatureUnion([("hog", HOG()), ("lbp", LBP(8, 2, grid=4))])
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("families", families.set_output(transform="pandas")),
            ("head", svm(weights="equal", probability=True, random_state=random_state)),
        ]
    )


SPACE = {
    "load__size": CategoricalDistribution([48, 64, 96]),
    "families__hog__pixels_per_cell": CategoricalDistribution([6, 8, 12]),
    "families__lbp__grid": CategoricalDistribution([1, 2, 4]),
    "head__svm__estimator__estimator__weights": CategoricalDistribution(["equal", "align"]),
    "head__svm__estimator__estimator__C": FloatDistribution(0.1, 100, log=True),
    "head__svm__estimator__estimator__gamma_factor": FloatDistribution(0.1, 5, log=True),
}
