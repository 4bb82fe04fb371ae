"""Texture: LBP histograms on a grid with an RBF support vector machine."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat import LBP, ImageLoader
from imgfeat.heads import svm


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("lbp", FeatureUnion([("near", LBP(grid=4)), ("far", LBP(8, 2, grid=4))])),
            ("head", svm(probability=True, random_state=random_state)),
        ]
    )


SPACE = {
    "load__size": CategoricalDistribution([48, 64, 96]),
    "lbp__near__grid": CategoricalDistribution([1, 2, 4]),
    "lbp__far__grid": CategoricalDistribution([1, 2, 4]),
    "lbp__far__radius": CategoricalDistribution([2, 3]),
    "head__svm__estimator__estimator__C": FloatDistribution(0.1, 100, log=True),
    "head__svm__estimator__estimator__gamma_factor": FloatDistribution(0.1, 5, log=True),
}
