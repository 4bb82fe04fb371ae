"""Shape and texture with equal say: HOG and LBP, each of unit length, and an RBF SVM."""

from optuna.distributions import CategoricalDistribution, FloatDistribution
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC

from imgfeat import HOG, LBP, ImageLoader


def build(random_state: int | None = 0) -> Pipeline:
    """Return the unfitted pipeline."""
    families = [
        ("hog", make_pipeline(HOG(), StandardScaler(), Normalizer())),
        ("lbp", make_pipeline(LBP(8, 2, grid=4), StandardScaler(), Normalizer())),
    ]
    svm = SVC(C=10, random_state=random_state)
    return Pipeline(
        [
            ("load", ImageLoader(64, color="gray")),
            ("families", FeatureUnion(families)),
            ("svm", CalibratedClassifierCV(svm, method="temperature", cv=3, ensemble=False)),
        ]
    )


SPACE = {
    "load__size": CategoricalDistribution([48, 64, 96]),
    "families__hog__hog__pixels_per_cell": CategoricalDistribution([6, 8, 12]),
    "families__lbp__lbp__grid": CategoricalDistribution([1, 2, 4]),
    "svm__estimator__C": FloatDistribution(0.1, 100, log=True),
    "svm__estimator__gamma": FloatDistribution(0.05, 5, log=True),
}
