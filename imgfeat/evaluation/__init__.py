"""Comparisons: the same splits for every recipe, every repeat kept, one page to look at."""

from imgfeat.evaluation.benchmark import (
    BenchmarkData,
    find_available,
    folder_data,
    run_benchmark,
    shipped_data,
)
from imgfeat.evaluation.environment import describe_environment
from imgfeat.evaluation.report import format_table, summarize, write_report

__all__ = [
    "BenchmarkData",
    "describe_environment",
    "find_available",
    "folder_data",
    "format_table",
    "run_benchmark",
    "shipped_data",
    "summarize",
    "write_report",
]
