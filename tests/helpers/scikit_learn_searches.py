"""OptunaSearchCV behind the interfaces of scikit-learn's searches, for scikit-learn's own tests."""

import itertools

import numpy as np
from optuna.samplers import BaseSampler
from sklearn.model_selection import GridSearchCV, ParameterSampler, RandomizedSearchCV

from imgfeat import OptunaSearchCV


class InOrder(BaseSampler):
    """Proposes given choices, one trial after another."""

    def __init__(self, choices):
        self.choices = choices

    def infer_relative_search_space(self, study, trial):
        return {}

    def sample_relative(self, study, trial, search_space):
        return {}

    def sample_independent(self, study, trial, param_name, param_distribution):
        return param_distribution.choices[self.choices[trial.number][param_name]]


class _Search(OptunaSearchCV):
    timeout = storage = study_name = pruner = callbacks = memory = directions = None
    progress = False
    cache_bytes = 2e9

    def fit(self, X, y=None, **params):
        super().fit(X, y, **params)
        # Columns of our own.
        del self.cv_results_["trial_number"], self.cv_results_["state"]
        return self

    @property
    def n_trials(self):
        return len(self.sampler.choices) or 1


class GridSearch(_Search):
    """Tries a dict of lists, or several, in the order of GridSearchCV."""

    _parameter_constraints = GridSearchCV._parameter_constraints
    random_state = None

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
    ):
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.cv = cv
        self.verbose = verbose
        self.pre_dispatch = pre_dispatch
        self.error_score = error_score
        self.return_train_score = return_train_score

    @property
    def param_distributions(self):
        return self.param_grid

    @property
    def sampler(self):
        alone = isinstance(self.param_grid, dict)
        choices = []
        for number, table in enumerate([self.param_grid] if alone else self.param_grid):
            names = sorted(table)
            for places in itertools.product(*(range(len(table[name])) for name in names)):
                labels = names if alone else [f"{number}: {n}" for n in names]
                choices.append(dict(zip(labels, places, strict=True)) | {"space": number})
        return InOrder(choices)


class RandomizedSearch(_Search):
    """Tries what ParameterSampler draws, through a function of the trial."""

    _parameter_constraints = RandomizedSearchCV._parameter_constraints | {
        "param_distributions": [dict, list, callable]
    }

    def __init__(
        self,
        estimator,
        param_distributions,
        *,
        n_iter=10,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
    ):
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.scoring = scoring
        self.n_jobs = n_jobs
        self.refit = refit
        self.cv = cv
        self.verbose = verbose
        self.pre_dispatch = pre_dispatch
        self.random_state = random_state
        self.error_score = error_score
        self.return_train_score = return_train_score

    def fit(self, X, y=None, **params):
        table = self.param_distributions
        candidates = list(ParameterSampler(table, self.n_iter, random_state=self.random_state))
        numbers = list(range(len(candidates)))
        self.sampler = InOrder([{"candidate": number} for number in numbers])

        def choose(trial):
            return dict(candidates[trial.suggest_categorical("candidate", numbers)])

        self.param_distributions = choose
        try:
            return super().fit(X, y, **params)
        finally:
            self.param_distributions = table
            del self.sampler
