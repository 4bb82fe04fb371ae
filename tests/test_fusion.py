import numpy as np
import pytest
from helpers.halves import FAMILIES, NAMES, TEST, TRAIN, X, Y
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.tree import DecisionTreeClassifier

from imgfeat import HOG, LBP
from imgfeat.ensembles import stacking, svm, voting


def test_families_keep_to_their_columns():
    mixed = X.copy()
    # Whoever looks at the lower half sees noise.
    mixed.iloc[:, 32:] = np.random.default_rng(0).normal(size=(len(X), 32))
    alone = svm(probability=True).fit(X[TRAIN].iloc[:, :32], Y[TRAIN])
    model = voting(["top"]).fit(mixed[TRAIN], Y[TRAIN])
    expected = alone.predict_proba(X[TEST].iloc[:, :32])
    np.testing.assert_allclose(model.predict_proba(mixed[TEST]), expected, atol=1e-12)
    stack = stacking(FAMILIES).fit(mixed[TRAIN], Y[TRAIN])
    assert stack.score(mixed[TEST], Y[TEST]) > model.score(mixed[TEST], Y[TEST]) - 0.05


def test_voting_is_the_mean():
    forest = ExtraTreesClassifier(20, random_state=0)
    families = {"top": LogisticRegression(max_iter=5000), "bottom": forest}
    model = voting(families, weights=[3, 1]).fit(X[TRAIN], Y[TRAIN])
    top = LogisticRegression(max_iter=5000).fit(X[TRAIN].iloc[:, :32].to_numpy(), Y[TRAIN])
    bottom = forest.fit(X[TRAIN].iloc[:, 32:].to_numpy(), Y[TRAIN])
    test = X[TEST].to_numpy()
    expected = 0.75 * top.predict_proba(test[:, :32]) + 0.25 * bottom.predict_proba(test[:, 32:])
    np.testing.assert_allclose(model.predict_proba(X[TEST]), expected, atol=1e-12)


@pytest.mark.parametrize("fuse", [stacking, voting])
def test_families_may_have_heads_of_their_own(fuse):
    tree, forest = DecisionTreeClassifier(max_depth=9), ExtraTreesClassifier(9)
    head = fuse({"top": tree, "bottom": None}, head=forest)
    stack = head if fuse is stacking else head.estimator
    chosen = {name: pipeline["head"] for name, pipeline in stack.estimators}
    assert isinstance(chosen["top"], DecisionTreeClassifier)
    assert isinstance(chosen["bottom"], ExtraTreesClassifier)
    head.fit(X[TRAIN], Y[TRAIN])
    assert not hasattr(tree, "classes_")


@pytest.mark.parametrize("fuse", [stacking, voting])
def test_the_head_of_one_family_is_set_without_the_others(fuse):
    shared = ExtraTreesClassifier(9)
    head = fuse(FAMILIES, head=shared)
    stack = head if fuse is stacking else head.estimator
    stack.set_params(top__head__n_estimators=5)
    assert stack.get_params()["bottom__head__n_estimators"] == 9
    assert shared.n_estimators == 9


@pytest.mark.parametrize("random_state", [None, 1])
def test_stacking_repeats_itself(random_state):
    def fit():
        forest = ExtraTreesClassifier(10, random_state=0)
        model = stacking(FAMILIES, head=forest, cv=2, random_state=random_state)
        return model.fit(X[TRAIN], Y[TRAIN]).predict_proba(X[TEST])

    np.testing.assert_array_equal(fit(), fit())


def test_stacking_learns_whom_to_trust():
    mixed = X.copy()
    mixed.iloc[:, 32:] = np.random.default_rng(0).normal(size=(len(X), 32))
    stack = stacking(FAMILIES, random_state=0).fit(mixed[TRAIN], Y[TRAIN])
    votes = voting(FAMILIES, random_state=0).fit(mixed[TRAIN], Y[TRAIN])
    losses = [log_loss(Y[TEST], m.predict_proba(mixed[TEST])) for m in (stack, votes)]
    assert losses[0] < losses[1]


@pytest.mark.parametrize(
    "final", [LogisticRegression(), HistGradientBoostingClassifier(max_iter=5)]
)
def test_the_last_learner_can_be_chosen(final):
    model = stacking(FAMILIES, final_estimator=final, cv=2).fit(X[TRAIN], NAMES[TRAIN])
    assert type(model.final_estimator_) is type(final)
    assert model.score(X[TEST], NAMES[TEST]) > 0.7


def test_fusion_goes_into_a_pipeline(photographs):
    images = np.concatenate([photographs, photographs[:, ::-1], photographs[:, :, ::-1]])
    labels = np.array(["cat", "coffee", "rocket"]).repeat(2)
    labels = np.concatenate([labels] * 3)
    union = FeatureUnion([("shape", HOG()), ("texture", LBP(grid=2))])
    union.set_output(transform="pandas")
    for head in (
        stacking(["shape", "texture"], cv=3),
        voting(["shape", "texture"]),
        svm(weights="equal"),
    ):
        model = make_pipeline(union, head).fit(images, labels)
        assert model.score(images, labels) == 1


def test_families_need_names():
    for head in (stacking(FAMILIES), voting(FAMILIES), svm(weights="equal")):
        with pytest.raises(ValueError, match=r"set_output\(transform='pandas'\)"):
            head.fit(X[TRAIN].to_numpy(), Y[TRAIN])
