import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from imgfeat import HOG, ColorHistogram
from imgfeat.heads.families import FamilyColumns, find_families

FEATURES = pd.DataFrame(
    np.arange(10.0).reshape(2, 5),
    columns=["hog__y0__o0", "lbp__0", "hog__y1__o0", "lbp__1", "hog_2__0"],
)


def test_a_family_is_what_stands_before_the_first_two_underscores():
    families = find_families(StandardScaler().fit(FEATURES))
    assert list(families) == ["hog", "lbp", "hog_2"]
    assert [columns.tolist() for columns in families.values()] == [[0, 2], [1, 3], [4]]


@pytest.mark.parametrize("names", [["hog__0", "area"], ["hog__0", "__0"], ["a", "b"], [0, 1]])
def test_columns_without_a_family_leave_none(names):
    frame = pd.DataFrame(np.eye(2), columns=names)
    assert find_families(StandardScaler().fit(frame)) == {}
    assert find_families(StandardScaler().fit(np.eye(2))) == {}


def test_the_columns_of_the_family_are_kept():
    kept = FamilyColumns("hog").fit(FEATURES)
    np.testing.assert_array_equal(kept.transform(FEATURES), [[0, 2], [5, 7]])
    assert kept.get_feature_names_out().tolist() == ["hog__y0__o0", "hog__y1__o0"]
    assert kept.n_features_in_ == 5
    again = pickle.loads(pickle.dumps(kept))
    np.testing.assert_array_equal(again.transform(FEATURES), kept.transform(FEATURES))
    assert not hasattr(clone(kept), "columns_")


def test_frames_come_out_where_asked_for():
    frame = FamilyColumns("lbp").set_output(transform="pandas").fit_transform(FEATURES)
    pd.testing.assert_frame_equal(frame, FEATURES[["lbp__0", "lbp__1"]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precision_stays(dtype):
    assert FamilyColumns("lbp").fit_transform(FEATURES.astype(dtype)).dtype == dtype
    assert FamilyColumns("lbp").fit_transform(FEATURES.astype(int)).dtype == np.float32


def test_a_union_of_features_makes_families(photographs):
    union = FeatureUnion([("shape", HOG()), ("color", ColorHistogram())])
    union.set_output(transform="pandas")
    for family, transformer in union.transformer_list:
        kept = make_pipeline(union, FamilyColumns(family)).fit_transform(photographs)
        np.testing.assert_array_equal(kept, transformer.fit_transform(photographs))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (FEATURES, r"'cnn' is not among the features' families \(hog, lbp, hog_2\)"),
        (FEATURES.to_numpy(), r"\(none: the columns have no names\)"),
        (FEATURES.set_axis(range(5), axis=1), r"\(none: the columns have no names\)"),
        (FEATURES.assign(area=1.0), r"\(none: column 'area' is not called FAMILY__...\)"),
        (FEATURES.assign(__0=1.0), r"\(none: column '__0' is not called FAMILY__...\)"),
    ],
)
def test_unknown_families_are_refused(features, message):
    with pytest.raises(ValueError, match=message):
        FamilyColumns("cnn").fit(features)


def test_other_columns_are_refused():
    kept = FamilyColumns("hog").fit(FEATURES)
    for other in (FEATURES.iloc[:, ::-1], FEATURES.rename(columns={"lbp__0": "lbp__5"})):
        with pytest.raises(ValueError, match="feature names should match"):
            kept.transform(other)
    with pytest.raises(ValueError, match=r"FamilyColumns|feature names should match"):
        kept.transform(FEATURES.iloc[:, :3])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        kept.transform(FEATURES.to_numpy())
    with pytest.raises(ValueError, match="NaN"):
        kept.transform(FEATURES.replace(2.0, np.nan))
    with pytest.raises(NotFittedError):
        FamilyColumns("hog").transform(FEATURES)
    with pytest.raises(NotFittedError):
        FamilyColumns("hog").get_feature_names_out()
