"""Deep: middle layers of EfficientNet-Lite0 and an RBF support vector machine."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from imgfeat import CNNEmbedding, ImageLoader


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    svm = SVC(C=10, random_state=random_state)
    return Pipeline(
        [
            ("load", ImageLoader(160)),
            ("cnn", CNNEmbedding(image_size=160)),
            ("scale", StandardScaler()),
            ("svm", CalibratedClassifierCV(svm, method="temperature", cv=3, ensemble=False)),
        ]
    )


SPACE = {
    "cnn__layers": CategoricalDistribution(["middle", "stages", "last"]),
    "cnn__grid": CategoricalDistribution([1, 2, 3]),
    "svm__estimator__C": FloatDistribution(0.1, 100, log=True),
    "svm__estimator__gamma": FloatDistribution(1e-5, 1e-2, log=True),
}
