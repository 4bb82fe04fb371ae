"""Fused: HOG, LBP and CNN features with gradient boosting and early stopping."""

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from imgfeat import HOG, LBP, CNNEmbedding, ImageLoader
from imgfeat.heads import boosting


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    families = [
        ("hog", make_pipeline(ImageLoader(64, color="gray"), HOG(pixels_per_cell=12))),
        ("lbp", make_pipeline(ImageLoader(64, color="gray"), LBP(grid=4))),
        ("cnn", CNNEmbedding(image_size=160)),
    ]
    head = boosting(max_features=0.03, max_leaf_nodes=8, random_state=random_state)
    return Pipeline(
        [
            ("load", ImageLoader(160)),
            ("families", FeatureUnion(families)),
            ("boosting", head),
        ]
    )


SPACE = {
    "families__hog__hog__pixels_per_cell": CategoricalDistribution([8, 12, 16]),
    "families__lbp__lbp__grid": CategoricalDistribution([1, 2, 4]),
    "boosting__estimator__learning_rate": FloatDistribution(0.03, 0.3, log=True),
    "boosting__estimator__max_leaf_nodes": IntDistribution(4, 31, log=True),
    "boosting__estimator__max_features": FloatDistribution(0.01, 0.3, log=True),
}
