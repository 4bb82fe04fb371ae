"""Compare recipes on the same folds, with significance tests of the differences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, clone
from sklearn.metrics import get_scorer
from tqdm import tqdm

from imgfeat.evaluation.comparison.comparison import Comparison
from imgfeat.evaluation.comparison.pairs import check_options, compare_runs
from imgfeat.evaluation.comparison.runs import run_folds
from imgfeat.evaluation.comparison.split_plan import Splits, make_folds
from imgfeat.evaluation.metrics.targets import read_target
from imgfeat.recipes import Recipe, load_recipe


def compare(
    recipes: Mapping[str, Recipe | BaseEstimator] | Iterable[str],
    X: Any,
    y: Any,
    *,
    cv: Splits | None = None,
    groups: ArrayLike | None = None,
    n_splits: int = 5,
    n_repeats: int = 2,
    scoring: str | Sequence[str] = "accuracy",
    test: str = "auto",
    correction: str = "holm",
    alpha: float = 0.05,
    n_bootstrap: int = 2000,
    n_jobs: int | None = None,
    random_state: int | None = 0,
    progress: bool = False,
) -> Comparison:
    """Fit and score recipes on the same folds, and test which differences are significant.

    Leading stateless steps of a pipeline, such as HOG or a frozen network, are computed once for
    all images.

    Parameters
    ----------
    recipes : dict of str to Recipe or estimator, or iterable of str
        Unfitted estimators by name; or recipes of `imgfeat.recipes`, by name or path.
    X : sequence of n images
        Images as the recipes take them.
    y : array-like of shape (n,) or (n, n_labels)
        Labels, or an indicator matrix.
    cv, groups, n_splits, n_repeats
        A splitter or an iterable of splits; by default `n_repeats` times `n_splits` stratified
        folds, which keep the images of a group together if `groups` are given.
    scoring : str or sequence of str, default="accuracy"
        Names of scikit-learn's scorers. Each has its own table and its own family of tests; the
        winner is determined by the first one.
    test : {"auto", "corrected_t", "bootstrap"}, default="auto"
        The corrected resampled t-test over the folds [1]_, or the bootstrap over the test images;
        "auto" is the t-test unless there is only one fold. The bootstrap does not account for the
        variance between training sets.
    correction : {"holm", "bonferroni", "none"}, default="holm"
        Correction for multiple testing. The family of hypotheses is all pairs of recipes, since
        the best recipe is selected on the same scores.
    alpha : float, default=0.05
        Significance level: family-wise, unless `correction` is "none". The intervals then hold
        simultaneously with probability 1 - alpha, by Bonferroni's inequality.
    n_bootstrap : int, default=2000
        Number of resamples; the bootstrap uses more if the correction for all pairs needs them.
    n_jobs : int, default=None
        Number of folds that run at the same time, in threads.
    random_state : int, default=0
        Seed of the folds, the recipes and the resampling.
    progress : bool, default=False
        Show a progress bar if it takes more than two seconds.

    Returns
    -------
    comparison : Comparison
        A recipe that fails on a fold is left out of the tests of the others.

    Raises
    ------
    ValueError
        If X and y differ in length, there is a single class, a class has fewer images than there
        are folds, or a parameter is out of range.
    ImageReadError
        If an image cannot be read.

    References
    ----------
    .. [1] C. Nadeau and Y. Bengio, "Inference for the Generalization Error", Machine Learning 52,
           2003; see also "Statistical comparison of models using grid search" in scikit-learn's
           examples.

    Examples
    --------
    >>> from imgfeat.datasets import load_faces
    >>> from imgfeat.evaluation import compare
    >>> faces = load_faces()
    >>> comparison = compare(["hog_svm", "lbp_svm"], faces.images, faces.target, n_repeats=1)
    >>> print(comparison.winner)
    None
    >>> [row.verdict for row in comparison.rows()]
    ['best, but tied', 'tied with the best']
    """
    scorers = {n: get_scorer(n) for n in ([scoring] if isinstance(scoring, str) else scoring)}
    builders = make_builders(recipes, random_state)
    target = read_target(X, y, groups=groups)
    target = target.astype(int) if target.ndim == 2 else target
    folds = make_folds(
        target,
        cv=cv,
        groups=groups,
        n_splits=n_splits,
        n_repeats=n_repeats,
        random_state=random_state,
    )
    test = check_options(test, correction, alpha, n_bootstrap, len(folds))
    runs = run_folds(builders, X, target, folds, scorers, n_jobs=n_jobs)
    total = len(builders) * len(folds)
    shown = tqdm(runs, total=total, unit="fit", delay=2, disable=None if progress else True)
    return compare_runs(
        list(shown),
        target,
        folds,
        scorers,
        groups=groups,
        test=test,
        correction=correction,
        alpha=alpha,
        n_bootstrap=n_bootstrap,
        random_state=random_state,
    )


def make_builders(
    recipes: Mapping[str, Recipe | BaseEstimator] | Iterable[str], random_state: int | None = 0
) -> dict[str, Callable[[], BaseEstimator]]:
    """Return a function for each recipe that builds its unfitted estimator.

    Parameters
    ----------
    recipes : dict of str to Recipe or estimator, or iterable of str
    random_state : int, default=0
        Seed of the recipes.

    Returns
    -------
    builders : dict of str to callable

    Raises
    ------
    ValueError
        If there are no recipes, or `recipes` is a single string.
    """
    if isinstance(recipes, str):
        raise ValueError(f"recipes must be a dict or a list, got {recipes!r}. Use [{recipes!r}].")
    if not isinstance(recipes, Mapping):
        loaded = [load_recipe(name) for name in recipes]
        recipes = {recipe.name: recipe for recipe in loaded}
    if not recipes:
        raise ValueError("There are no recipes to compare.")
    return {
        name: partial(recipe.build, random_state=random_state)
        if isinstance(recipe, Recipe)
        else partial(clone, recipe)
        for name, recipe in recipes.items()
    }
