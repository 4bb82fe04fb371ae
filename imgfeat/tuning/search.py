"""Hyperparameter search with the interface of scikit-learn's searches and Optuna's samplers."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from sklearn.base import clone
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import indexable

from imgfeat._compat.sklearn import (
    HasMethods,
    Interval,
    StrOptions,
    check_method_params,
    fit_context,
)
from imgfeat._compat.sklearn_search import (
    SEARCH_CONSTRAINTS,
    BaseSearchCV,
    check_refit,
    get_scorers,
    list_scorers,
    route_fit_params,
    select_best_index,
    set_error_score,
)
from imgfeat._protocols import Estimator
from imgfeat.heads.classes import read_indicators
from imgfeat.tuning.callbacks import CallbackTasks
from imgfeat.tuning.fold_scoring import ErrorScore
from imgfeat.tuning.objectives import choose_objectives, name_objectives
from imgfeat.tuning.refit import fit_best
from imgfeat.tuning.results import (
    make_cv_results,
    rank_minimized,
    read_trials,
    report_failures,
    require_complete,
)
from imgfeat.tuning.reuse.prefix import Prefix
from imgfeat.tuning.reuse.shared_distances import make_distances
from imgfeat.tuning.samplers import SAMPLERS, make_sampler
from imgfeat.tuning.space import ParamDistributions, Space, read_space
from imgfeat.tuning.splits import make_folds
from imgfeat.tuning.study.identity import Part, identify
from imgfeat.tuning.study.storage import Direction, StorageLike, connect
from imgfeat.tuning.study.stored import open_valid_study
from imgfeat.tuning.trials import Task, TrialRunner, list_ended


class OptunaSearchCV(BaseSearchCV):
    """Search for the best parameters of a pipeline with Optuna and cross-validation.

    Leading steps of a Pipeline that are stateless (tagged ``requires_fit=False``, such as
    ImageLoader, HOG, LBP and CNNEmbedding), also inside a FeatureUnion, a ColumnTransformer or
    Batched, run only once over all images for each setting of their parameters; folds select rows
    of their output. SVCs with an RBF kernel at the end of the pipeline share the distances between
    the images of a fold.

    Parameters
    ----------
    estimator : estimator
        Usually a Pipeline.
    param_distributions : dict, list of dict, or callable
        Optuna's distributions, scipy's distributions, or lists of values, by parameter name. With a
        list of dicts, each trial uses one of them. A callable takes the Optuna trial and returns
        the parameters, which may depend on one another:
        ``lambda trial: {"svm__C": trial.suggest_float("C", 0.1, 100, log=True)}``.
    n_trials : int or None, default=50
        Total number of trials in the study, including those of earlier calls and of other
        processes. None is no limit, and requires a `timeout`.
    timeout : float, default=None
        Seconds after which no new trial starts.
    cv : int, cross-validation generator or iterable, default=5
        As in scikit-learn; all trials use the same folds.
    scoring : str, callable, list, tuple or dict, default=None
        As in scikit-learn; see also `imgfeat.tuning.latency_scorer`.
    refit : bool, str or callable, default=True
        As in GridSearchCV. With several scores, the name of the score that selects the best trial.
        It is also the objective of the search unless `directions` are given.
    sampler : {"tpe", "random", "grid", "gp"} or Optuna sampler, default=None
        Optuna's sampler, which chooses the parameters of each trial; None is "tpe". "grid" takes 5
        evenly spaced values from each range, and stops when all combinations have been tried. "gp"
        requires torch.
    pruner : Optuna pruner, default=None
        Decides after each fold whether to stop the trial; None stops no trial. WilcoxonPruner
        compares the scores of single folds with those of the best trial, and needs at least 5
        folds, better 10. MedianPruner compares the mean score so far with that of other trials, and
        works with few folds. SuccessiveHalvingPruner keeps a share of the trials at each step, and
        is for many trials with many folds.
    storage : str, path-like or Optuna storage, default=None
        Where trials are stored, which several processes can share: a file that ends in .db (SQLite,
        on one machine) or .journal (also in a folder shared between machines), or the URL of a
        database, such as ``postgresql+psycopg://user@host/name``. None stores trials in memory.
    study_name : str, default=None
        Name of the study in the storage; None is "imgfeat".
    n_jobs : int, default=None
        Number of folds scored in parallel; with a pruner, of trials run in parallel. None means 1
        unless in a ``joblib.parallel_config`` context, and -1 means all cores.
    callbacks : list of callable, default=None
        Called with the study and the trial after each trial; may call ``study.stop()``.
    error_score : "raise" or float, default=nan
        If a trial fails: with nan, its error is recorded and the search continues; a number is the
        score of the fold that failed; "raise" raises the error.
    random_state : int, RandomState instance or None, default=None
        Seed of the sampler. With an int, trials are reproducible, also if the search is interrupted
        and resumed (see Notes) or scores folds in parallel. The order of a grid is fixed.
    progress : bool, default=False
        Whether to show a progress bar with the best score.
    memory : str or path-like, default=None
        Folder in which features are cached by the content of images, for later runs and other
        processes.
    return_train_score : bool, default=False
        As in GridSearchCV. Trials of other calls have train scores only if those calls computed
        them.
    directions : dict of str to {"maximize", "minimize"}, default=None
        Direction of each objective, by the name of its score. With several objectives,
        ``study_.best_trials`` is the Pareto front, which `imgfeat.tuning.list_pareto_front` returns
        as a table. None is a single objective, which is maximised.
    cache_bytes : float, default=2e9
        Memory for caches: half for features and decoded images, half for the distances that trials
        with an SVC share. Distances are shared only if those of all folds for one setting fit. Each
        worker process has its own cache of distances, of the same size.

    Attributes
    ----------
    study_ : optuna.Study
        The trials, for example for `optuna.visualization`.
    cv_results_ : dict of str to array
        As in GridSearchCV, with the additional columns "trial_number" and "state", which is
        "complete", "pruned" or "fail". Scores of folds that did not run are nan. Times do not
        include the computation of features by stateless steps.
    best_estimator_, best_score_, best_params_, best_index_, refit_time_, scorer_, multimetric_, \
n_splits_, classes_, n_features_in_, feature_names_in_
        As in GridSearchCV.

    Raises
    ------
    StorageError, ValueError
        Before any trial: if the space is empty or has parameters that the estimator lacks, there
        are no folds, the storage cannot be opened or is damaged, or the study belongs to a
        different search (see Notes). After the trials: if all trials fail, the error of the first
        one is raised; if all fits fail and `error_score` is a number, a ValueError.

    Notes
    -----
    A study in a `storage` can be resumed only by the same search: with the same estimator, all its
    parameters and the code of your own classes and functions, images (by their content, not the
    names of files), labels, folds, space, scoring, directions, `error_score` and parameters of
    `fit`, and the same versions of imgfeat, scikit-learn and Python. Otherwise, a StorageError
    lists what differs. `n_trials`, `timeout`, `n_jobs`, `callbacks`, `memory`, `sampler`, `pruner`
    and `random_state` may change. Lambdas and closures cannot be identified in another process, so
    a search with one of them cannot be resumed: write them as functions at the top of a module.

    If a search is interrupted or killed, its running trials are discarded. The next call repeats
    them with the same random numbers. With an int `random_state`, the resumed search has the same
    trials as one without interruption. For "random" and "grid", this holds with any number of jobs
    and processes. For "tpe" and "gp", whose samples depend on the trials that have ended before, it
    holds with one process and ``n_jobs=1``.

    Several processes, on one or more machines, share a search if they call this with the same
    `storage` and arguments: each runs trials until there are `n_trials` in total. Stale trials,
    whose process was killed, are discarded and repeated: at once on the same machine (except on
    Windows), and otherwise after five minutes without a heartbeat.
    ``joblib.parallel_config(backend="dask")`` distributes folds.

    References
    ----------
    T. Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019,
    arXiv:1907.10902.

    Examples
    --------
    >>> from imgfeat import OptunaSearchCV
    >>> from imgfeat.datasets import load_digits
    >>> from imgfeat.recipes import load_recipe
    >>> digits, recipe = load_digits(), load_recipe("hog_svm")
    >>> space = {"hog__orientations": [6, 9], "load__size": [16, 32]}
    >>> search = OptunaSearchCV(recipe.build(), space, n_trials=4, cv=3, random_state=0)
    >>> search = search.fit(digits.images[:300], digits.target[:300])
    >>> len(search.cv_results_["params"]), bool(search.best_score_ > 0.85)
    (4, True)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods(["fit"])],
        "param_distributions": [dict, list, tuple, callable],
        "n_trials": [Interval(Integral, 1, None, closed="left"), None],
        "timeout": [Interval(Real, 0, None, closed="neither"), None],
        "cv": SEARCH_CONSTRAINTS["cv"],
        "scoring": SEARCH_CONSTRAINTS["scoring"],
        "refit": SEARCH_CONSTRAINTS["refit"],
        "sampler": [StrOptions(set(SAMPLERS)), BaseSampler, None],
        "pruner": [BasePruner, None],
        "storage": [str, os.PathLike, BaseStorage, None],
        "study_name": [str, None],
        "n_jobs": [Integral, None],
        "callbacks": ["array-like", None],
        "error_score": SEARCH_CONSTRAINTS["error_score"],
        "random_state": ["random_state"],
        "progress": ["boolean"],
        "memory": [str, os.PathLike, None],
        "return_train_score": ["boolean"],
        "directions": [dict, None],
        "cache_bytes": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        estimator: Estimator,
        param_distributions: ParamDistributions,
        n_trials: int | None = 50,
        timeout: float | None = None,
        cv: int | BaseCrossValidator | Iterable | None = 5,
        scoring: str | Callable | Sequence[str] | Mapping[str, Any] | None = None,
        refit: bool | str | Callable = True,
        sampler: str | BaseSampler | None = None,
        pruner: BasePruner | None = None,
        storage: StorageLike = None,
        study_name: str | None = None,
        n_jobs: int | None = None,
        callbacks: Sequence[Callable] | None = None,
        error_score: ErrorScore = np.nan,
        random_state: int | np.random.RandomState | None = None,
        progress: bool = False,
        memory: str | os.PathLike | None = None,
        *,
        return_train_score: bool = False,
        directions: Mapping[str, Direction] | None = None,
        cache_bytes: float = 2e9,
    ):
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_trials = n_trials
        self.timeout = timeout
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.sampler = sampler
        self.pruner = pruner
        self.storage = storage
        self.study_name = study_name
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.error_score = error_score
        self.random_state = random_state
        self.progress = progress
        self.memory = memory
        self.return_train_score = return_train_score
        self.directions = directions
        self.cache_bytes = cache_bytes

    # The estimator is not validated yet.
    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Run the trials, and refit the estimator with the best parameters on all images.

        Parameters
        ----------
        X : sequence, array or frame of n images
            Input of the estimator.
        y : array-like of shape (n,) or (n, n_labels), default=None
        **params : dict
            Passed to the estimator's `fit`, the scorer and the splitter, as in GridSearchCV.

        Returns
        -------
        self : object
        """
        scorer, refit_metric = get_scorers(self)
        X, y = indexable(X, read_indicators(y))
        params = check_method_params(X, params=params)
        routed = route_fit_params(self, params)
        callbacks = CallbackTasks(self, X, y, params)
        folds, self.n_splits_ = make_folds(self, X, y, routed.splitter.split)
        space = read_space(self.param_distributions)
        space.check(self.estimator)
        # Errors of scorers fail the trial, unless error_score is a number.
        set_error_score(scorer, self.error_score)
        objectives = name_objectives(self, scorer)
        half = self.cache_bytes / 2
        prefix = Prefix(X, memory=self.memory, cache_bytes=half, n_jobs=self.n_jobs)
        task = Task(
            prefix=prefix,
            distances=make_distances(folds, scorer, routed.estimator.fit, half),
            y=y,
            folds=folds,
            scorer=scorer,
            choose_objectives=partial(choose_objectives, self, objectives),
            fit_params=routed.estimator.fit,
            score_params=routed.scorer.score,
            error_score=self.error_score,
            return_train_score=self.return_train_score,
            callbacks=callbacks,
        )
        directions = [(self.directions or {}).get(name, "maximize") for name in objectives]
        identity: dict[str, Part] = {}
        if self.storage is not None:  # a study in memory is always new
            identity = identify(
                directions=directions,
                folds=folds,
                y=y,
                space=space,
                scoring=self.scoring,
                objectives=objectives,
                error_score=self.error_score,
                metadata={**routed.estimator.fit, **routed.scorer.score},
                X=X,
                estimator=self.estimator,
            )
        with connect(self.storage) as storage:
            self._open_study(storage, space, identity, directions)
            self._run_trials(space, task)
            self._read_study(space, refit_metric)
        self.scorer_ = list_scorers(scorer) or scorer
        if self.refit:
            self._refit_best(prefix, y, routed.estimator.fit, callbacks)
        callbacks.end()
        return self

    def _open_study(
        self,
        storage: BaseStorage,
        space: Space,
        identity: Mapping[str, Part],
        directions: Sequence[Direction],
    ) -> None:
        if self.n_trials is None and self.timeout is None:
            raise ValueError("n_trials=None needs a timeout: without one, the search never ends.")
        sampler = make_sampler(self.sampler, space, self.random_state, len(directions) > 1)
        self.study_ = open_valid_study(
            storage,
            self.storage,
            self.study_name,
            identity,
            directions,
            sampler,
            self.pruner or NopPruner(),
            space,
        )

    def _run_trials(self, space: Space, task: Task) -> None:
        runner = TrialRunner(
            self.study_,
            space,
            self.estimator,
            task,
            n_trials=self.n_trials,
            timeout=self.timeout,
            n_jobs=self.n_jobs,
            callbacks=self.callbacks or (),
            progress=self.progress,
        )
        runner.run()
        trials = list_ended(self.study_)
        report_failures(trials, self.n_splits_, self.error_score, runner.first_error)
        require_complete(trials)

    def _read_study(self, space: Space, refit_metric: bool | str | Callable) -> None:
        trials = list_ended(self.study_)
        parameters, folds, more = read_trials(
            trials, space, self.n_splits_, self.error_score, self.return_train_score
        )
        self.multimetric_ = isinstance(folds[0]["test_scores"], dict)
        if callable(self.scoring) and self.multimetric_:
            check_refit(self, folds[0]["test_scores"])
            refit_metric = self.refit
        self.cv_results_ = make_cv_results(self, trials, parameters, self.n_splits_, folds, more)
        rank_minimized(self.cv_results_, self.directions or {})
        if self.refit or not self.multimetric_:
            self.best_index_ = select_best_index(self, self.refit, refit_metric, self.cv_results_)
            if not callable(self.refit):
                self.best_score_ = self.cv_results_[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = self.cv_results_["params"][self.best_index_]

    def _refit_best(
        self, prefix: Prefix, y: Any, fit_params: Mapping[str, Any], callbacks: CallbackTasks
    ) -> None:
        best = clone(self.estimator).set_params(**clone(self.best_params_, safe=False))
        start = time.perf_counter()
        self.best_estimator_ = fit_best(best, prefix, y, fit_params, callbacks, self.n_jobs)
        self.refit_time_ = time.perf_counter() - start
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_
