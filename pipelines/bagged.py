"""Shape, texture and colour: HOG, LBP and colour histograms with 300 extremely randomised trees."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from imgfeat import HOG, LBP, ColorHistogram, ImageLoader
from imgfeat.heads import bagging


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    families = [
        ("hog", make_pipeline(ImageLoader(64, color="gray"), HOG(pixels_per_cell=12))),
        ("lbp", make_pipeline(ImageLoader(64, color="gray"), LBP(grid=4))),
        ("color", ColorHistogram(grid=2)),
    ]
    return Pipeline(
        [
            ("load", ImageLoader(64)),
            ("families", FeatureUnion(families)),
            ("bagging", bagging(random_state=random_state)),
        ]
    )


SPACE = {
    "families__hog__hog__pixels_per_cell": CategoricalDistribution([8, 12, 16]),
    "families__lbp__lbp__grid": CategoricalDistribution([1, 2, 4]),
    "families__color__space": CategoricalDistribution(["rgb", "hsv", "lab"]),
    "bagging__estimator__max_features": FloatDistribution(0.3, 1.0),
}
