"""Shape and texture: HOG and LBP features with histogram gradient boosting."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.pipeline import FeatureUnion, Pipeline

from imgfeat import HOG, LBP, ImageLoader
from imgfeat.heads import boosting


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    # Without early stopping, since small datasets have too few images for a validation set.
    head = boosting(
        max_iter=60,
        learning_rate=0.15,
        max_leaf_nodes=8,
        early_stopping=False,
        random_state=random_state,
    )
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("features", FeatureUnion([("hog", HOG(pixels_per_cell=12)), ("lbp", LBP(grid=4))])),
            ("boosting", head),
        ]
    )


SPACE = {
    "features__hog__pixels_per_cell": CategoricalDistribution([8, 12, 16]),
    "features__lbp__grid": CategoricalDistribution([1, 2, 4]),
    "boosting__estimator__max_iter": IntDistribution(20, 200, log=True),
    "boosting__estimator__learning_rate": FloatDistribution(0.03, 0.3, log=True),
    "boosting__estimator__max_leaf_nodes": IntDistribution(4, 31, log=True),
    "boosting__estimator__max_features": FloatDistribution(0.05, 1.0, log=True),
}
