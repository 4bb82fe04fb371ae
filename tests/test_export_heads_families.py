"""Late fusion as nodes: columns of families, kernels, pools, stacks and votes."""

import numpy as np
import pytest
from helpers.heads import compare, convert, load, name_columns
from sklearn.base import clone
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from imgfeat.ensembles import bagging, boosting, stacking, svm, voting
from imgfeat.heads.families import FamilyColumns
from imgfeat.heads.family_pool import FamilyPool

both_types = pytest.mark.parametrize("dtype", [np.float32, np.float64])
FAMILIES = ["hog", "lbp"]


def _take(kind):
    """Return digits: zeros and ones or others, five names, or several labels; and unseen ones."""
    data = load("labels" if kind == "labels" else "many")
    y = np.isin(data.y, ["digit 9", "digit 8"]).astype(int) if kind == "two" else data.y
    return data.X, y, data.unseen


@pytest.fixture(params=["two", "many"])
def classes(request):
    return _take(request.param)


@pytest.fixture(params=["two", "many", "labels"])
def digits(request):
    return _take(request.param)


@both_types
@pytest.mark.parametrize(
    "head",
    [
        svm(weights="equal"),
        svm(weights="align", probability=True),
        svm(weights={"hog": 3, "lbp": 1}, max_exact=0, n_components=90, random_state=0),
        stacking(FAMILIES),
        stacking({"hog": svm(kernel="linear"), "lbp": boosting(max_iter=5, random_state=0)}),
        stacking(FAMILIES, head=bagging(n_estimators=5, random_state=0)),
        voting(FAMILIES),
        voting(FAMILIES, weights=[2, 1]),
    ],
    ids=["equal", "align", "large", "stack", "mixed", "bags", "vote", "weighed"],
)
def test_families(head, digits, dtype):
    X, y, unseen = digits
    compare(clone(head).fit(name_columns(X), y), unseen, dtype, table=name_columns)


@both_types
@pytest.mark.parametrize("together", [True, False])
def test_families_whose_columns_lie_together_or_apart(together, dtype):
    data = load("many")
    table = name_columns(data.X)
    columns = np.arange(364)[::-1] if together else np.random.default_rng(0).permutation(364)
    names = table.columns[columns]
    head = voting(FAMILIES).fit(table[names], data.y)
    graph = compare(
        head, data.unseen[:, columns], dtype, table=lambda X: name_columns(data.unseen)[names]
    )
    kinds = [node.op_type for node in graph.graph.node]
    assert ("Slice" in kinds) == together
    assert kinds.count("Gather") == (1 if together else 3)


@both_types
@pytest.mark.parametrize("passthrough", [False, True])
@pytest.mark.parametrize("method", ["auto", "predict", "predict_proba"])
def test_stacking_classifier(method, passthrough, classes, dtype):
    X, y, unseen = classes
    parts = [("a", RandomForestClassifier(10, random_state=0)), ("b", LogisticRegression())]
    if method != "predict_proba":
        parts += [("c", make_pipeline(StandardScaler(), SVC())), ("d", "drop")]
    for final in (None, LinearSVC(C=0.1)):
        head = StackingClassifier(parts, final, cv=2, stack_method=method, passthrough=passthrough)
        compare(head.fit(X, y), unseen, dtype)


@both_types
@pytest.mark.parametrize(
    "final",
    [
        HistGradientBoostingClassifier(max_iter=5, random_state=0),
        RandomForestClassifier(10, random_state=0),
        FamilyPool(class_weight="balanced"),
    ],
    ids=lambda final: type(final).__name__,
)
def test_last_estimators_of_stacks(final, classes, dtype):
    X, y, unseen = classes
    head = stacking(FAMILIES, final_estimator=final)
    compare(head.fit(name_columns(X), y), unseen, dtype, table=name_columns)


@both_types
def test_stacking_of_fitted_classifiers(dtype):
    data = load("many")
    codes = np.unique(data.y, return_inverse=True)[1]
    fitted = LogisticRegression().fit(data.X, codes)
    parts = [("fitted", fitted), ("margins", LinearSVC(C=0.01).fit(data.X, codes))]
    head = StackingClassifier(parts, cv="prefit").fit(data.X, codes)
    compare(head, data.unseen, dtype)


@both_types
@pytest.mark.parametrize("flatten", [True, False])
def test_voting_classifier(flatten, classes, dtype):
    X, y, unseen = classes
    parts = [("a", RandomForestClassifier(10, random_state=0)), ("b", LogisticRegression())]
    for weights in (None, [1, 3]):
        head = VotingClassifier(parts, voting="soft", weights=weights, flatten_transform=flatten)
        compare(head.fit(X, y), unseen, dtype)


@pytest.mark.parametrize("weights", [None, [1, 2, 2]])
def test_counted_votes_and_their_shares(weights):
    data = load("many")
    parts = [(str(k), bagging(n_estimators=1, random_state=k)) for k in range(3)]
    head = VotingClassifier(parts, voting="hard", weights=weights).fit(data.X, data.y)
    session, _ = convert(head, data.X.shape[1], np.float32)
    labels, shares = session.run(None, {"X": data.unseen})
    assert labels.tolist() == head.predict(data.unseen).tolist()
    votes = head.transform(data.unseen)
    share = np.array([weights or [1, 1, 1]]) / np.sum(weights or [1, 1, 1])
    wanted = [[share[0][row == k].sum() for k in range(5)] for row in votes]
    np.testing.assert_allclose(shares, wanted, rtol=0, atol=1e-6)
    assert (np.sort(shares)[:, -1] == np.sort(shares)[:, -2]).any()  # ties go to the first


@both_types
def test_columns_of_a_family_alone(dtype):
    data = load("many")
    chain = make_pipeline(FamilyColumns("lbp"), LogisticRegression())
    compare(chain.fit(name_columns(data.X), data.y), data.unseen, dtype, table=name_columns)
