"""Stacked: an SVM for each of HOG, LBP, colour and two layers of a CNN, combined by stacking."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from imgfeat import HOG, LBP, CNNEmbedding, ColorHistogram, ImageLoader
from imgfeat.heads import stacking


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    last = CNNEmbedding(layers="last", pooling="mean", grid=1, image_size=160)
    families = [
        ("hog", make_pipeline(ImageLoader(64, color="gray"), HOG())),
        ("lbp", make_pipeline(ImageLoader(64, color="gray"), LBP(8, 2, grid=4))),
        ("color", ColorHistogram(grid=2)),
        ("middle", CNNEmbedding(image_size=160)),
        ("last", last),
    ]
    return Pipeline(
        [
            ("load", ImageLoader(160)),
            ("families", FeatureUnion(families).set_output(transform="pandas")),
            ("stack", stacking([name for name, _ in families], random_state=random_state)),
        ]
    )


SPACE = {
    "families__hog__hog__pixels_per_cell": CategoricalDistribution([6, 8, 12]),
    "families__middle__grid": CategoricalDistribution([2, 3]),
    "stack__middle__head__svm__estimator__C": FloatDistribution(0.1, 100, log=True),
    "stack__middle__head__svm__estimator__gamma_factor": FloatDistribution(0.1, 2, log=True),
    "stack__final_estimator__alpha": FloatDistribution(1e-4, 1, log=True),
}
