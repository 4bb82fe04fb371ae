"""Shape: HOG features and an RBF support vector machine with calibrated probabilities."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from imgfeat import HOG, ImageLoader


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    svm = SVC(C=10, random_state=random_state)
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("hog", HOG()),
            ("scale", StandardScaler()),
            ("svm", CalibratedClassifierCV(svm, method="temperature", cv=3, ensemble=False)),
        ]
    )


SPACE = {
    "load__size": CategoricalDistribution([48, 64, 96]),
    "hog__orientations": CategoricalDistribution([6, 9, 12]),
    "hog__pixels_per_cell": CategoricalDistribution([6, 8, 12]),
    "svm__estimator__C": FloatDistribution(0.1, 100, log=True),
    "svm__estimator__gamma": FloatDistribution(1e-5, 1e-2, log=True),
}
