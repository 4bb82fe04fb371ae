"""Rare classes: HOG and LBP features with logistic regression that weights classes equally."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from imgfeat import HOG, LBP, ImageLoader


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    logistic = LogisticRegression(
        C=0.01, class_weight="balanced", max_iter=1000, random_state=random_state
    )
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("features", FeatureUnion([("hog", HOG()), ("lbp", LBP(8, 2, grid=4))])),
            ("scale", StandardScaler()),
            ("logistic", logistic),
        ]
    )


SPACE = {
    "load__size": CategoricalDistribution([48, 64, 96]),
    "features__hog__pixels_per_cell": CategoricalDistribution([6, 8, 12]),
    "logistic__C": FloatDistribution(1e-4, 10, log=True),
}
