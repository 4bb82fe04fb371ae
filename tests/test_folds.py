import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from imgfeat.heads.stratified_folds import EveryClassKFold

X, Y = load_digits(return_X_y=True)
X, Y = X[:200], Y[:200]


def assert_same_folds(folds, expected):
    folds, expected = list(folds), list(expected)
    assert len(folds) == len(expected)
    for ours, theirs in zip(folds, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("labels", [Y, Y.astype(str), Y.tolist(), Y % 2 == 0])
def test_labels_are_stratified(labels):
    reference = StratifiedKFold(4, shuffle=True, random_state=3)
    folds = EveryClassKFold(4, random_state=3)
    assert folds.get_n_splits(X, labels) == 4
    assert_same_folds(folds.split(X, labels), reference.split(X, labels))


def test_indicator_matrices_are_cut_at_random():
    indicators = np.c_[Y > 4, Y % 2, Y == 99].astype(int)
    reference = KFold(4, shuffle=True, random_state=3)
    assert_same_folds(EveryClassKFold(4, random_state=3).split(X, indicators), reference.split(X))


def test_random_state_decides():
    def cut(state):
        return np.concatenate(
            [test for _, test in EveryClassKFold(3, random_state=state).split(X, Y)]
        )

    np.testing.assert_array_equal(cut(0), cut(0))
    assert not np.array_equal(cut(0), cut(1))
    assert not np.array_equal(cut(None), cut(None))


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (3, r"Class 'owl' has 3 image\(s\), fewer than the 4 folds: use at most cv=3, or give it"),
        (1, r"Class 'owl' has 1 image\(s\), fewer than the 4 folds: give it more images"),
    ],
)
def test_small_classes_are_an_error_not_a_warning(count, message):
    labels = np.array(["cat"] * (200 - count) + ["owl"] * count)
    with pytest.raises(ValueError, match=message):
        list(EveryClassKFold(4).split(X, labels))
    if count > 1:
        assert len(list(EveryClassKFold(count).split(X, labels))) == count


def test_other_input_is_refused():
    with pytest.raises(ValueError, match="'continuous'"):
        list(EveryClassKFold(3).split(X, X[:, 3] + 0.5))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        list(EveryClassKFold(3).split(X, Y[:150]))
    with pytest.raises(ValueError, match="n_splits=1"):
        EveryClassKFold(1)
    with pytest.raises(ValueError, match="Integral"):
        EveryClassKFold(2.5)


def test_scikit_learn_takes_it_and_prints_it():
    folds = EveryClassKFold(3, random_state=0)
    assert repr(folds) == "EveryClassKFold(n_splits=3, random_state=0)"
    assert repr(clone(folds, safe=False)) == repr(folds)
    assert cross_val_score(KNeighborsClassifier(), X, Y, cv=folds).mean() > 0.8
