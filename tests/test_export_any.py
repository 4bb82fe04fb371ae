"""Pipelines drawn at random from the steps that can be exported: each file does what it says."""

import warnings

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC

from imgfeat import HOG, LBP, Batched, ColorHistogram, ColorMoments, ImageLoader
from imgfeat.datasets import load_textures
from imgfeat.ensembles import bagging, boosting, stacking, svm, voting
from imgfeat.export import load_onnx, to_onnx

TRAIN, TEST = load_textures("train"), load_textures("test")
ROWS = np.r_[0:24, 32:56, 64:88]
# Colour where there is none: each texture in a tint of its own row.
TINTS = np.linspace(0.4, 1.0, 3 * len(TRAIN.images)).reshape(-1, 1, 1, 3)


def tint(images):
    return (images[..., np.newaxis] * TINTS[: len(images)]).astype(np.uint8)


FAMILIES = {
    "hog": st.builds(
        HOG,
        orientations=st.integers(4, 12),
        pixels_per_cell=st.sampled_from([6, 8, (8, 5)]),
        cells_per_block=st.integers(1, 2),
        block_norm=st.sampled_from(["L1", "L1-sqrt", "L2", "L2-Hys"]),
        transform_sqrt=st.booleans(),
    ),
    "lbp": st.builds(
        LBP,
        n_points=st.sampled_from([4, 8]),
        radius=st.sampled_from([1, 2]),
        method=st.sampled_from(["uniform", "nri_uniform", "ror", "default"]),
        grid=st.integers(1, 3),
    ),
    "color": st.builds(
        ColorHistogram,
        space=st.sampled_from(["rgb", "hsv", "lab"]),
        bins=st.integers(2, 8),
        grid=st.integers(1, 2),
    ),
    "moments": st.builds(ColorMoments, grid=st.integers(1, 2)),
}
# Wide enough that no eigenvalue of the kernel is rounding, which would be blown up to a feature.
NYSTROEM = Nystroem(gamma=0.5, n_components=12, random_state=0)
SCALERS = st.sampled_from(
    [StandardScaler(), MinMaxScaler(), PCA(0.9), make_pipeline(StandardScaler(), NYSTROEM)]
)
HEADS = st.sampled_from(
    [
        LogisticRegression(max_iter=1000),
        LinearSVC(),
        SVC(),
        svm(),
        svm(probability=True),
        svm(max_exact=0, n_components=30, random_state=0),
        svm(kernel="linear"),
        svm(weights="align"),
        boosting(max_iter=8, random_state=0),
        bagging(n_estimators=9, random_state=0),
        bagging(svm(), n_estimators=3, random_state=0),
        "stacking",
        "voting",
    ]
)
TARGETS = {
    "names": TRAIN.target,
    "two": (TRAIN.target == "grass").astype(int),
    "several": np.column_stack([TRAIN.target == "grass", TRAIN.target != "brick"]).astype(int),
}


@st.composite
def pipelines(draw):
    names = draw(st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=3, unique=True))
    union = FeatureUnion([(name, draw(FAMILIES[name])) for name in names])
    color = draw(st.sampled_from(["rgb", "gray"]))
    features = [ImageLoader(draw(st.sampled_from([24, 33])), color=color), union]
    head = draw(HEADS)
    target = draw(st.sampled_from(sorted(TARGETS)))
    if isinstance(head, str):
        head = {"stacking": stacking, "voting": voting}[head](names)
    needs_names = "columns" in str(head) or "weights='align'" in str(head)
    if needs_names:
        union.set_output(transform="pandas")
    elif draw(st.booleans()):
        features = [Batched(make_pipeline(*features))]
    scaler = [] if needs_names or draw(st.booleans()) else [draw(SCALERS)]
    # These take one label an image.
    if isinstance(head, LogisticRegression | LinearSVC | SVC) and target == "several":
        target = "two"
    return make_pipeline(*features, *scaler, head), target


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(pipelines())
def test_any_pipeline(tmp_path_factory, drawn):
    pipeline, target = drawn
    images, unseen = tint(TRAIN.images)[ROWS], tint(TEST.images)[::3]
    with warnings.catch_warnings():
        # Constant columns and few images are what such draws are made of.
        warnings.simplefilter("ignore")
        model = pipeline.fit(images, TARGETS[target][ROWS])
    path = tmp_path_factory.mktemp("any") / "m.onnx"
    certificate = to_onnx(model, images[:20], path)
    served = load_onnx(path, batch_size=7)
    alike = served.predict(unseen) == model.predict(unseen)
    ties = round(0.05 * len(unseen)) if certificate.n_ties else 0
    assert (~alike).reshape(len(unseen), -1).any(axis=1).sum() <= ties
    if hasattr(model, "predict_proba"):
        apart = np.abs(served.predict_proba(unseen) - model.predict_proba(unseen))
        assert (apart.reshape(len(unseen), -1).max(axis=1) > 1e-4).sum() <= max(ties, 1)
