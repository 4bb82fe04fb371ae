"""Texture: LBP histograms on a grid and an RBF support vector machine."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from imgfeat import LBP, ImageLoader


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    svm = SVC(C=10, random_state=random_state)
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("lbp", FeatureUnion([("near", LBP(grid=4)), ("far", LBP(8, 2, grid=4))])),
            ("scale", StandardScaler()),
            ("svm", CalibratedClassifierCV(svm, method="temperature", cv=3, ensemble=False)),
        ]
    )


SPACE = {
    "load__size": CategoricalDistribution([48, 64, 96]),
    "lbp__near__grid": CategoricalDistribution([1, 2, 4]),
    "lbp__far__grid": CategoricalDistribution([1, 2, 4]),
    "lbp__far__radius": CategoricalDistribution([2, 3]),
    "svm__estimator__C": FloatDistribution(0.1, 100, log=True),
    "svm__estimator__gamma": FloatDistribution(1e-4, 1e-1, log=True),
}
