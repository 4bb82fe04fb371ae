"""Shape and texture: HOG and LBP features and histogram gradient boosting."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat import HOG, LBP, ImageLoader


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    boosting = HistGradientBoostingClassifier(
        max_iter=60,
        max_leaf_nodes=8,
        max_features=0.1,
        max_bins=63,
        min_samples_leaf=5,
        learning_rate=0.15,
        early_stopping=False,
        random_state=random_state,
    )
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("features", FeatureUnion([("hog", HOG(pixels_per_cell=12)), ("lbp", LBP(grid=4))])),
            ("boosting", boosting),
        ]
    )


SPACE = {
    "features__hog__pixels_per_cell": CategoricalDistribution([8, 12, 16]),
    "features__lbp__grid": CategoricalDistribution([1, 2, 4]),
    "boosting__max_iter": IntDistribution(20, 200, log=True),
    "boosting__learning_rate": FloatDistribution(0.03, 0.3, log=True),
    "boosting__max_leaf_nodes": IntDistribution(4, 31, log=True),
    "boosting__max_features": FloatDistribution(0.05, 1.0, log=True),
}
