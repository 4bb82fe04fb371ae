"""Deep: middle layers of EfficientNet-Lite0 with an RBF support vector machine."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.pipeline import Pipeline

from imgfeat import CNNEmbedding, ImageLoader
from imgfeat.heads import svm


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    return Pipeline(
        [
            ("load", ImageLoader(160)),
            ("cnn", CNNEmbedding(image_size=160)),
            ("head", svm(probability=True, random_state=random_state)),
        ]
    )


SPACE = {
    "cnn__layers": CategoricalDistribution(["middle", "stages", "last"]),
    "cnn__grid": CategoricalDistribution([1, 2, 3]),
    "head__svm__estimator__estimator__C": FloatDistribution(0.1, 100, log=True),
    "head__svm__estimator__estimator__gamma_factor": FloatDistribution(0.1, 5, log=True),
}
