"""Deep: middle layers of EfficientNet-Lite0 with logistic regression, for many images."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from imgfeat import CNNEmbedding, ImageLoader


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    return Pipeline(
        [
            ("load", ImageLoader(160)),
            ("cnn", CNNEmbedding(image_size=160)),
            ("scale", StandardScaler()),
            ("logistic", LogisticRegression(C=0.01, max_iter=1000, random_state=random_state)),
        ]
    )


SPACE = {
    "cnn__layers": CategoricalDistribution(["middle", "stages", "last"]),
    "cnn__grid": CategoricalDistribution([1, 2, 3]),
    "logistic__C": FloatDistribution(1e-4, 10, log=True),
}
