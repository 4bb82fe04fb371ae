"""Folds: the same images on one side only, groups whole, and every class everywhere."""

import numpy as np
import pytest
from sklearn.model_selection import ShuffleSplit, StratifiedKFold

from imgfeat.evaluation.comparison.split_plan import make_folds

Y = np.repeat(["a", "b", "c"], [20, 10, 10])


def test_the_default_is_repeated_and_stratified():
    folds = make_folds(Y, n_splits=5, n_repeats=3, random_state=1)
    assert len(folds) == 15
    for repeat in range(3):
        tested = np.concatenate([test for _, test in folds[5 * repeat : 5 * repeat + 5]])
        assert sorted(tested) == list(range(40))
    for train, test in folds:
        assert np.unique(Y[test], return_counts=True)[1].tolist() == [4, 2, 2]
        assert sorted([*train, *test]) == list(range(40))
    assert folds[0][1].tolist() != folds[5][1].tolist()
    again = make_folds(Y, n_splits=5, n_repeats=3, random_state=1)
    assert all((a[1] == b[1]).all() for a, b in zip(folds, again, strict=True))


@pytest.mark.parametrize(
    "y", [Y, np.stack([Y == "a", Y != "b"], axis=1)], ids=["classes", "labels"]
)
def test_groups_stay_whole(y):
    groups = np.tile(np.arange(10), 4)
    folds = make_folds(y, groups=groups, n_splits=5, n_repeats=2)
    assert len(folds) == 10
    for train, test in folds:
        assert not set(groups[train]) & set(groups[test])
    assert folds[0][1].tolist() != folds[5][1].tolist()


def test_cv_of_any_kind():
    assert len(make_folds(Y, cv=4, n_repeats=1)) == 4
    assert len(make_folds(Y, cv=StratifiedKFold(3))) == 3
    mask = np.arange(40) % 2 == 0
    ((train, test),) = make_folds(Y, cv=[(mask, ~mask)])
    assert train.tolist() == list(range(0, 40, 2))
    assert test.tolist() == list(range(1, 40, 2))
    labels = np.stack([Y == "a", Y != "b"], axis=1)
    assert len(make_folds(labels, n_splits=2, n_repeats=2)) == 4


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        (Y, {"n_splits": 11}, r"Class 'b' has 10 image\(s\), fewer than 11 folds.*Use 10 folds"),
        (np.array([*Y, "d"]), {}, r"Class 'd' has 1 image.*Add images"),
        (Y, {"groups": np.repeat(np.arange(10), 4)}, r"Class 'b' has 3 group\(s\).*Use 3 folds"),
        (Y, {"groups": np.repeat([0, 1], 20)}, r"2 group\(s\) cannot be split into 5 folds"),
        (Y[:20], {}, "All images are of class 'a'"),
        (Y, {"cv": 1}, "n_splits must be at least 2"),
        (Y, {"n_repeats": 0}, "n_repeats at least 1, got 5 and 0"),
        (Y, {"cv": []}, "no folds"),
        (Y, {"cv": [([0, 30], [30, 31])]}, r"Fold 0 of cv: 1 image\(s\) are in both.*position 30"),
        (Y, {"cv": [([0, 30], [40])]}, "outside of the 40 images"),
        (Y, {"cv": [([0, 30], [])]}, "test part must be"),
        (Y, {"cv": [([0, 30], [2]), ([0, 1], [30])]}, "Fold 1 .*images are of class 'a'"),
        (Y, {"cv": [([0, 30], [2])], "groups": [0, 1] * 20}, "group 0 is in both training"),
    ],
)  # fmt: skip
def test_unsound_folds(y, options, message):
    with pytest.raises(ValueError, match=message):
        make_folds(y, **options)


def test_a_class_missing_from_a_test_set_is_allowed():
    (fold,) = make_folds(Y, cv=[(np.arange(10, 40), np.arange(10))])
    assert len(fold[1]) == 10
    assert len(make_folds(Y, cv=ShuffleSplit(3, test_size=2, random_state=0))) == 3
