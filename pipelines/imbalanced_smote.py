"""Rare classes: HOG and LBP features, SMOTE and logistic regression."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import StandardScaler

from imgfeat import HOG, LBP, ImageLoader
from imgfeat._optional import import_optional


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline, which needs at least four images of each label."""
    over_sampling = import_optional("imblearn.over_sampling", extra="imbalance")
    pipeline = import_optional("imblearn.pipeline", extra="imbalance")
    return pipeline.Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("features", FeatureUnion([("hog", HOG()), ("lbp", LBP(8, 2, grid=4))])),
            ("scale", StandardScaler()),
            ("smote", over_sampling.SMOTE(k_neighbors=3, random_state=random_state)),
            ("logistic", LogisticRegression(C=0.01, max_iter=1000, random_state=random_state)),
        ]
    )


SPACE = {
    "load__size": CategoricalDistribution([48, 64, 96]),
    "features__hog__pixels_per_cell": CategoricalDistribution([6, 8, 12]),
    "smote__k_neighbors": IntDistribution(1, 5),
    "logistic__C": FloatDistribution(1e-4, 10, log=True),
}
