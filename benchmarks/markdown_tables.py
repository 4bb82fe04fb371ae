"""Result files, and their rows as tables in Markdown."""

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Content = dict[str, Any]


def read_results(results: Path, name: str) -> Content:
    """Return the content of a result file."""
    return json.loads((results / f"{name}.json").read_text())


def format_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table: header, ruler, and one line for each row of cells."""
    return [_join(columns), "|" + "---|" * len(columns), *map(_join, rows)]


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def take_medians(times: dict[str, list[float]], *names: str) -> list[float]:
    """Return the medians of the times of some of the candidates, in the order of the names."""
    return [statistics.median(times[name]) for name in names]
