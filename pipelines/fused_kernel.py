"""Fused: HOG, LBP, colour and CNN features with one SVM on a weighted mean of RBF kernels."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

from imgfeat import HOG, LBP, CNNEmbedding, ColorHistogram, ImageLoader
from imgfeat.heads import svm


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    families = [
        ("hog", make_pipeline(ImageLoader(64, color="gray"), HOG())),
        ("lbp", make_pipeline(ImageLoader(64, color="gray"), LBP(8, 2, grid=4))),
        ("color", ColorHistogram(grid=2)),
        ("middle", CNNEmbedding(image_size=160)),
    ]
    head = svm(
        weights="align",
        gamma_factor=0.3,
        max_exact=0,
        probability=True,
        random_state=random_state,
    )
    return Pipeline(
        [
            ("load", ImageLoader(160)),
            ("families", FeatureUnion(families).set_output(transform="pandas")),
            ("head", head),
        ]
    )


SPACE = {
    "families__hog__hog__pixels_per_cell": CategoricalDistribution([6, 8, 12]),
    "families__middle__grid": CategoricalDistribution([2, 3]),
    "head__svm__estimator__estimator__weights": CategoricalDistribution(["equal", "align"]),
    "head__svm__estimator__estimator__C": FloatDistribution(0.1, 100, log=True),
    "head__svm__estimator__estimator__gamma_factor": FloatDistribution(0.1, 2, log=True),
}
