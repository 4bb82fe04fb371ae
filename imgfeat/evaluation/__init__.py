"""Evaluation and comparison: the same folds for all, and intervals on every number."""

from imgfeat._seen_images import forget_training_images
from imgfeat.evaluation.benchmark import (
    Benchmark,
    BenchmarkData,
    find_available,
    folder_data,
    shipped_data,
)
from imgfeat.evaluation.benchmark_report import format_table, summarize, write_benchmark
from imgfeat.evaluation.compare import compare
from imgfeat.evaluation.comparison import Comparison
from imgfeat.evaluation.environment import describe_environment
from imgfeat.evaluation.evaluate import Evaluation, TrainingImagesWarning, evaluate
from imgfeat.evaluation.intervals import Estimate
from imgfeat.evaluation.report import write_report

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
