"""The check suite passes what is right, and catches a fault planted against each law."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from imgfeat import (
    GLCM,
    HOG,
    LBP,
    BagOfVisualWords,
    Batched,
    CNNClassifier,
    CNNEmbedding,
    ColorHistogram,
    ColorMoments,
    FisherVector,
    Gabor,
    ImageLoader,
    testing,
)
from imgfeat._base import ImageTransformer
from imgfeat.images.validation import check_images, to_gray, to_uint8


class MeanColor(ImageTransformer):
    """A small transformer that keeps every law: the mean of each half."""

    def __init__(self, image_shape=None, n_jobs=None):
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def _count_features(self, height, width):
        return 2

    def _name_features(self, height, width):
        return ["upper", "lower"]

    def _extract(self, images, out):
        scale = 255 if images.dtype == np.uint8 else 1
        half = images.shape[1] // 2
        out[:, 0] = images[:, :half].mean(axis=(1, 2, 3)) / scale
        out[:, 1] = images[:, half:].mean(axis=(1, 2, 3)) / scale


class WrongDtype(MeanColor):
    def transform(self, X):
        return super().transform(X).astype(np.float64)


class NoGray(MeanColor):
    def transform(self, X):
        if np.ndim(X) == 3:
            raise ValueError("no grey")
        return super().transform(X)


class NoFloat(MeanColor):
    def transform(self, X):
        if np.asarray(X).dtype == np.float32:
            raise ValueError("no float32")
        return super().transform(X)


class FlatTransposed(MeanColor):
    def transform(self, X):
        return super().transform(X) + np.float32(np.ndim(X) == 2)


class BatchDependent(MeanColor):
    def transform(self, X):
        rows = super().transform(X)
        return rows + np.float32(len(rows))


class OrderDependent(MeanColor):
    def transform(self, X):
        rows = super().transform(X)
        if len(rows) == 6:
            rows[0] += 1
        return rows


class ThreadDependent(MeanColor):
    def transform(self, X):
        return super().transform(X) + np.float32(self.n_jobs == 2)


class WritesInput(MeanColor):
    def transform(self, X):
        rows = super().transform(X)
        if isinstance(X, np.ndarray) and X.flags.writeable:
            X[...] = 0
        return rows


class NoEmptyBatch(MeanColor):
    def transform(self, X):
        if len(X) == 0:
            raise ValueError("nothing to do")
        return super().transform(X)


class TakesNaN(MeanColor):
    def fit(self, X, y=None):
        return super().fit(np.nan_to_num(X, nan=0.5) if np.asarray(X).dtype.kind == "f" else X)

    def transform(self, X):
        return super().transform(np.nan_to_num(X, nan=0.5) if X.dtype.kind == "f" else X)


class BusyInit(MeanColor):
    def __init__(self, image_shape=None, n_jobs=None):
        super().__init__(image_shape, n_jobs)
        self.cache = {}


class BadPickle(MeanColor):
    def __setstate__(self, state):
        super().__setstate__(state)
        self.unpickled = True

    def transform(self, X):
        return super().transform(X) + np.float32(hasattr(self, "unpickled"))


class SameNames(MeanColor):
    def _name_features(self, height, width):
        return ["mean", "mean"]


class NoPandas(MeanColor, auto_wrap_output_keys=None):
    def set_output(self, *, transform=None):
        return self


class KeepsState(MeanColor):
    def transform(self, X):
        self.last_batch_ = len(X)
        return super().transform(X)


class FitAccumulates(MeanColor):
    def fit(self, X, y=None):
        super().fit(X)
        self.n_fits_ = getattr(self, "n_fits_", 0) + 1
        return self

    def transform(self, X):
        return super().transform(X) + np.float32(getattr(self, "n_fits_", 0))


class LearnsInFit(MeanColor):
    def fit(self, X, y=None):
        super().fit(X)
        self.mean_ = np.float32(np.asarray(X, dtype=float).mean())
        return self

    def transform(self, X):
        return super().transform(X) - getattr(self, "mean_", np.float32(0))


class ReturnsCodes(ClassifierMixin, BaseEstimator):
    """The class of the nearest mean grey, as a code in place of a label."""

    def __init__(self, image_shape=None):
        self.image_shape = image_shape

    def fit(self, X, y):
        grey = self._measure(X)
        if np.ndim(X) == 2:
            self.n_features_in_ = np.shape(X)[1]
        self.classes_ = np.unique(y)
        self.means_ = [grey[np.asarray(y) == label].mean() for label in self.classes_]
        return self

    def predict_proba(self, X):
        near = np.exp(-np.abs(self._measure(X)[:, np.newaxis] - self.means_))
        return near / near.sum(axis=1, keepdims=True)

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def _measure(self, X):
        images = to_uint8(check_images(X, image_shape=self.image_shape))
        if len(images) == 0 and not hasattr(self, "classes_"):
            raise ValueError("no images")
        return to_gray(images).mean(axis=(1, 2)) / 255


FAULTS = {
    WrongDtype: "check_output",
    NoGray: "check_grey_and_color",
    NoFloat: "check_float_images",
    FlatTransposed: "check_flat",
    BatchDependent: "check_batch_invariance",
    OrderDependent: "check_order_invariance",
    ThreadDependent: "check_n_jobs_invariance",
    WritesInput: "check_input_untouched",
    NoEmptyBatch: "check_empty_batch",
    TakesNaN: "check_bad_input_refused",
    BusyInit: "check_clone",
    BadPickle: "check_pickle",
    SameNames: "check_feature_names",
    NoPandas: "check_set_output",
    KeepsState: "check_transform_keeps_no_state",
    FitAccumulates: "check_fit_idempotent",
    ReturnsCodes: "check_labels",
    LearnsInFit: "check_stateless_needs_no_fit",
}


@pytest.mark.parametrize(
    "estimator",
    [
        MeanColor(),
        HOG(),
        HOG(6, (6, 10), (3, 2), "L1-sqrt", transform_sqrt=True),
        HOG(12, block_norm="L2"),
        LBP(),
        LBP(16, 2, "nri_uniform", grid=3),
        LBP(method="default"),
        LBP(method="ror", grid=2),
        LBP(method="var"),
        ColorHistogram(),
        ColorHistogram("lab", (4, 3, 2), joint=True, grid=2),
        ColorMoments(grid=2),
        GLCM(),
        GLCM(8, (1, 3), average=True, grid=2),
        Gabor(),
        Gabor((0.25,), 3, pooling="max", grid=2),
        BagOfVisualWords(n_words=16),
        BagOfVisualWords(n_words=9, grid=(1, 2), assignment="triangle", color=True),
        BagOfVisualWords("sift", 9, patch_size=16, norm="power"),
        BagOfVisualWords("orb", 9, keypoints="detect", grid=2),
        FisherVector(n_modes=2, n_components=9),
        FisherVector("patch", 2, patch_size=6, stride=6, grid=2, color=True),
        CNNEmbedding(image_size=96),
        CNNEmbedding(image_size=96, engine="torch", pooling="gem"),
        CNNEmbedding(image_size=64, layers="last", grid=1, precision="int8"),
        Batched(HOG(), batch_size=2, n_jobs=2),
        Batched(ImageLoader(24), batch_size=4),
        CNNClassifier("small_cnn", unfreeze="all", max_epochs=1, verbose=0),
        ImageLoader(32),
        ImageLoader((20, 30), color="gray", resize="crop"),
    ],
    ids=repr,
)
def test_ours_keep_the_contract(estimator):
    testing.check_image_estimator(estimator)


def test_a_fault_is_planted_against_every_law():
    assert set(FAULTS.values()) == {check.__name__ for check in testing.CHECKS}


@pytest.mark.parametrize(("faulty", "law"), FAULTS.items(), ids=lambda v: getattr(v, "__name__", v))
def test_each_fault_is_caught_by_its_law(faulty, law, photographs):
    with pytest.raises((AssertionError, ValueError)):
        getattr(testing, law)(faulty(), photographs.copy())
    with pytest.raises(AssertionError, match=faulty.__name__):
        testing.check_image_estimator(faulty())
