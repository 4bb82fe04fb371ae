"""Hyperparameter search for image pipelines, with Optuna."""

from imgfeat.tuning.pictures import list_pareto_front, plot_pareto_front
from imgfeat.tuning.scorers import LatencyScorer, SizeScorer, latency_scorer, size_scorer
from imgfeat.tuning.search import OptunaSearchCV
from imgfeat.tuning.space import SpaceError
from imgfeat.tuning.study.storage import StorageError

__all__ = [
    "LatencyScorer",
    "OptunaSearchCV",
    "SizeScorer",
    "SpaceError",
    "StorageError",
    "latency_scorer",
    "list_pareto_front",
    "plot_pareto_front",
    "size_scorer",
]
