"""The functions `stacking` and `voting`: late fusion, with a classifier for each feature group."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import BaseCrossValidator
from sklearn.pipeline import Pipeline

from imgfeat._protocols import Classifier
from imgfeat.heads.class_weights import ClassWeight
from imgfeat.heads.families import FamilyColumns
from imgfeat.heads.family_pool import FamilyPool
from imgfeat.heads.multilabel import PerLabel
from imgfeat.heads.stack import FamilyStack
from imgfeat.heads.stratified_folds import EveryClassKFold
from imgfeat.heads.svm_head import svm

Families = Sequence[str] | Mapping[str, Classifier | None]


def stacking(
    families: Families,
    *,
    head: Classifier | None = None,
    final_estimator: Classifier | None = None,
    cv: int | BaseCrossValidator | Iterable = 3,
    class_weight: ClassWeight = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> FamilyStack:
    """Return late fusion by stacking: a head for each feature group, and a final estimator.

    The final estimator learns from out-of-fold outputs how much each head counts. Features are
    computed once, by the steps before: folds only select rows of them, and heads select columns.

    Parameters
    ----------
    families : sequence of str, or dict of str to classifier
        Feature groups, named after the transformers of the preceding FeatureUnion, which needs
        ``.set_output(transform="pandas")``. A dict also gives the head of each group, or None for
        `head`.
    head : classifier, default=None
        For feature groups that have no head of their own. None is a one-vs-rest `svm` with a smooth
        kernel (``max_exact=0, gamma_factor=0.3``): its margins are comparable between feature
        groups, whereas the votes of one-vs-one SVMs are not.
    final_estimator : classifier, default=None
        Fitted on the heads' outputs. None is `imgfeat.heads.family_pool.FamilyPool`.
    cv : int, cross-validation generator or iterable, default=3
        Cross-validation folds. If this is a number, every class needs at least as many images.
    class_weight : dict or "balanced", default=None
        Of the default heads and the default final estimator.
    random_state : int, RandomState instance or None, default=None
        Of the default heads and the folds.
    n_jobs : int, default=None
        Number of heads fitted in parallel.

    Returns
    -------
    head : FamilyStack
        A StackingClassifier whose ``estimators`` are named after the feature groups.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import FeatureUnion, make_pipeline
    >>> from imgfeat import HOG, LBP, ImageLoader
    >>> from imgfeat.datasets import load_textures
    >>> from imgfeat.heads import stacking
    >>> union = FeatureUnion([("hog", HOG()), ("lbp", LBP(grid=2))]).set_output(transform="pandas")
    >>> model = make_pipeline(ImageLoader(64, color="gray"), union, stacking(["hog", "lbp"]))
    >>> train, test = load_textures("train"), load_textures("test")
    >>> model.fit(train.images, train.target).score(test.images, test.target) > 0.9
    True
    """
    if final_estimator is None:
        final_estimator = FamilyPool(class_weight=class_weight)
    if head is None:
        head = svm(
            max_exact=0, gamma_factor=0.3, class_weight=class_weight, random_state=random_state
        )
    return FamilyStack(
        _select_families(families, head),
        final_estimator=final_estimator,
        cv=(
            EveryClassKFold(cv, random_state=0 if random_state is None else random_state)
            if isinstance(cv, int)
            else cv
        ),
        n_jobs=n_jobs,
    )


def voting(
    families: Families,
    *,
    head: Classifier | None = None,
    weights: Sequence[float] | None = None,
    class_weight: ClassWeight = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> PerLabel:
    """Return late fusion by soft voting: the mean of the probabilities of each group's head.

    Parameters
    ----------
    families : sequence of str, or dict of str to classifier
        Feature groups, as in `stacking`.
    head : classifier, default=None
        For feature groups that have no head of their own. None is ``svm(probability=True)``.
    weights : sequence of float, default=None
        Weights of the feature groups' probabilities; None weights them equally.
    class_weight : dict or "balanced", default=None
        Of the default heads.
    random_state : int, RandomState instance or None, default=None
        Of the default heads.
    n_jobs : int, default=None
        Number of heads fitted in parallel.

    Returns
    -------
    head : PerLabel
        With a VotingClassifier as its `estimator` parameter.

    Raises
    ------
    ValueError
        If a head has no `predict_proba`.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.heads import voting
    >>> X, y = load_digits(return_X_y=True)
    >>> halves = [f"{'upper' if i < 32 else 'lower'}__{i}" for i in range(64)]
    >>> X = pd.DataFrame(X, columns=halves)
    >>> model = voting(["upper", "lower"]).fit(X[:1000], y[:1000])
    >>> model.score(X[1000:], y[1000:]) > 0.9
    True
    """
    if head is None:
        head = svm(probability=True, class_weight=class_weight, random_state=random_state)
    heads = _select_families(families, head)
    without_proba = [name for name, pipeline in heads if not hasattr(pipeline, "predict_proba")]
    if without_proba:
        raise ValueError(
            f"The heads of {without_proba} have no predict_proba, which voting needs: choose heads "
            "that have it, such as svm(probability=True)."
        )
    return PerLabel(VotingClassifier(heads, voting="soft", weights=weights, n_jobs=n_jobs))


def _select_families(families: Families, shared: Classifier) -> list[tuple[str, Pipeline]]:
    if isinstance(families, str) or not families:
        raise ValueError(
            f"families={families!r} must name at least one feature group, as a list or dict."
        )
    own = families if isinstance(families, Mapping) else dict.fromkeys(families)
    # Cloned, so that setting a parameter of one head does not change the others.
    heads = {name: clone(shared if head is None else head) for name, head in own.items()}
    return [
        (name, Pipeline([("columns", FamilyColumns(name)), ("head", head)]))
        for name, head in heads.items()
    ]
