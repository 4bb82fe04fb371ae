"""Compiled kernels check no bounds, so what reaches them is checked whenever it changes."""

import math
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from imgfeat import (
    GLCM,
    HOG,
    LBP,
    BagOfVisualWords,
    ColorHistogram,
    ColorMoments,
    FisherVector,
    Gabor,
    hog_image,
    local_binary_pattern,
)
from imgfeat.features.color import MAX_BINS

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 40, 36, 3), dtype=np.uint8)
WORDS = BagOfVisualWords(n_words=9, random_state=0)
FISHER = FisherVector("patch", n_modes=2, patch_size=8, random_state=0)

WRONG = [
    (LBP(), "radius", -1.0),
    (LBP(), "radius", 0),
    (LBP(), "radius", math.nan),
    (LBP(), "radius", math.inf),
    (LBP(), "radius", 1e6),
    (LBP(), "n_points", 0),
    (LBP(), "n_points", 25),
    (LBP(), "n_points", 8.5),
    (LBP(method="var"), "n_points", 65),
    (LBP(), "method", "none"),
    (LBP(), "grid", 0),
    (LBP(), "grid", 37),
    (HOG(), "orientations", 0),
    (HOG(), "orientations", 10**9),
    (HOG(), "pixels_per_cell", 0),
    (HOG(), "pixels_per_cell", (8, -8)),
    (HOG(), "pixels_per_cell", 41),
    (HOG(), "cells_per_block", (0, 1)),
    (HOG(), "cells_per_block", 10**30),
    (HOG(), "block_norm", "L3"),
    (GLCM(), "levels", 0),
    (GLCM(), "levels", 1000),
    (GLCM(), "distances", [-3]),
    (GLCM(), "distances", [1e300]),
    (GLCM(), "distances", [math.nan]),
    (GLCM(), "distances", [37]),
    (GLCM(), "angles", [math.inf]),
    (GLCM(), "properties", ["none"]),
    (GLCM(), "grid", -1),
    (ColorHistogram(), "bins", 0),
    (ColorHistogram(), "bins", (4, 4, MAX_BINS + 1)),
    (ColorHistogram(joint=True), "bins", MAX_BINS),
    (ColorHistogram(), "space", "cmyk"),
    (ColorMoments(), "grid", 0),
    (Gabor(), "frequencies", [1e-300]),
    (Gabor(), "frequencies", [0]),
    (Gabor(), "bandwidth", 1e-300),
    (Gabor(), "bandwidth", 1e6),
    (Gabor(), "orientations", 10**9),
    (WORDS, "n_words", 8),
    (WORDS, "n_words", 10),
    (WORDS, "patch_size", 4),
    (WORDS, "stride", 10**30),
    (WORDS, "stride", 0),
    (WORDS, "grid", [2, 2]),
    (WORDS, "color", True),
    (WORDS, "assignment", "soft"),
    (FISHER, "n_modes", 3),
    (FISHER, "n_components", 3),
    (FISHER, "descriptor", "orb"),
]


@pytest.mark.parametrize("how", ["set_params", "attribute"])
@pytest.mark.parametrize(("features", "name", "value"), WRONG)
def test_parameters_set_after_fit(features, name, value, how):
    fitted = clone(features).fit(IMAGES)
    expected = fitted.transform(IMAGES)
    right = getattr(fitted, name)
    if how == "set_params":
        fitted.set_params(**{name: value})
    else:
        setattr(fitted, name, value)
    for again in (fitted, pickle.loads(pickle.dumps(fitted))):
        with pytest.raises((ValueError, TypeError)):
            again.transform(IMAGES)
    setattr(fitted, name, right)
    np.testing.assert_array_equal(fitted.transform(IMAGES), expected)


@pytest.mark.parametrize(("name", "place"), [("distances", 0), ("angles", 1)])
def test_lists_changed_in_place(name, place):
    glcm = GLCM(distances=[1, 2], angles=[0.0, 1.0]).fit(IMAGES)
    glcm.transform(IMAGES)
    getattr(glcm, name)[place] = math.inf
    with pytest.raises(ValueError, match=name):
        glcm.transform(IMAGES)


@pytest.mark.parametrize("change", ["fewer", "more", "dtype", "nan", "list", "text"])
@pytest.mark.parametrize(
    ("features", "name"),
    [
        (WORDS, "words_"),
        (WORDS, "center_"),
        (WORDS, "projection_"),
        (FISHER, "means_"),
        (FISHER, "covariances_"),
        (FISHER, "weights_"),
    ],
)
def test_fitted_arrays_that_are_not_those_of_fit(features, name, change):
    fitted = clone(features).fit(IMAGES)
    fitted.transform(IMAGES)
    array = getattr(fitted, name)
    changed = {
        "fewer": array[:-1],
        "more": np.concatenate([array, array]),
        "dtype": array.astype(np.float16),
        "nan": np.full_like(array, np.nan),
        "list": array.tolist(),
        "text": "array",
    }[change]
    setattr(fitted, name, changed)
    with pytest.raises(ValueError, match=rf"{name} (must have shape|holds NaN)"):
        fitted.transform(IMAGES)


@pytest.mark.parametrize("shape", [(40, 36), (0, 36, 3), (40.0, 36.0, 3.0), "abc", None])
def test_the_shape_seen_in_fit(shape):
    hog = HOG().fit(IMAGES)
    hog.image_shape_ = shape
    with pytest.raises(ValueError, match=r"HOG.image_shape_ must be three whole numbers"):
        hog.transform(IMAGES)


@pytest.mark.parametrize("orientations", [1, 2, 3, 4])
def test_flat_regions_have_a_bin_where_there_are_few(orientations):
    """The gradient of flat regions is zero, which is on every edge of a bin."""
    hog = HOG(orientations, pixels_per_cell=8, cells_per_block=1)
    assert not hog.fit_transform(np.full((1, 16, 16), 7, np.uint8)).any()
    assert not hog.transform(np.full((1, 16, 16), 0.5)).any()


@pytest.mark.parametrize("radius", [-1, 0, math.nan, math.inf, 1e9, "1"])
def test_plain_functions(radius):
    with pytest.raises(ValueError, match="radius"):
        local_binary_pattern(IMAGES[0], radius=radius)
    with pytest.raises(ValueError, match=r"pixels_per_cell|needs images"):
        hog_image(IMAGES[0], pixels_per_cell=-1 if radius != 1e9 else 10**9)
