"""Evaluate and compare image classifiers: shared folds, confidence intervals, and reports."""

from imgfeat._environment import describe_environment
from imgfeat.evaluation.comparison.benchmark import (
    Benchmark,
    BenchmarkData,
    find_available,
    folder_data,
    shipped_data,
)
from imgfeat.evaluation.comparison.compare import compare
from imgfeat.evaluation.comparison.comparison import Comparison
from imgfeat.evaluation.evaluate import Evaluation, TrainingImagesWarning, evaluate
from imgfeat.evaluation.metrics.intervals import Estimate
from imgfeat.evaluation.report.benchmark_report import format_table, summarize, write_benchmark
from imgfeat.evaluation.report.pages import write_report
from imgfeat.images.training_hashes import forget_training_images

__all__ = [
    "Benchmark",
    "BenchmarkData",
    "Comparison",
    "Estimate",
    "Evaluation",
    "TrainingImagesWarning",
    "compare",
    "describe_environment",
    "evaluate",
    "find_available",
    "folder_data",
    "forget_training_images",
    "format_table",
    "shipped_data",
    "summarize",
    "write_benchmark",
    "write_report",
]
