"""Benchmark results as a text table and as one self-contained HTML page."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgfeat._files import write_atomically
from imgfeat.evaluation.comparison.benchmark import Benchmark
from imgfeat.evaluation.comparison.comparison import FAILED, Comparison
from imgfeat.evaluation.report.layout import NOTHING, format_columns, replace_nan
from imgfeat.evaluation.report.templates import render

Run = dict[str, Any]
MEASURES = ("accuracy", "macro_f1", "fit_seconds", "images_per_second", "n_features")
HEADER = ("data", "recipe", "verdict", "accuracy", "macro F1", "fit s", "images/s", "features")


def summarize(
    runs: Sequence[Run], comparisons: Mapping[str, Comparison] | None = None
) -> list[dict[str, Any]]:
    """Average the results over the folds of each data set and recipe.

    Parameters
    ----------
    runs : sequence of dict
        From `Benchmark.run`.
    comparisons : mapping of str to Comparison, default=None
        By name of the data set.

    Returns
    -------
    rows : list of dict
        Per data set and recipe, with the keys data, recipe, repeats (its number of runs), the mean
        of each measure, accuracy_sd (None for one run), confusion_matrix (the sum), classes,
        verdict (None before all recipes have run), difference, low, high and p (to the best
        recipe); or error, the first one, if every run failed. Sorted by data set in the order of
        the runs, then by decreasing accuracy.
    """
    rows = []
    keys = dict.fromkeys((run["data"], run["recipe"]) for run in runs)
    order = {data: i for i, data in enumerate(dict.fromkeys(data for data, _ in keys))}
    for data, recipe in keys:
        group = [run for run in runs if (run["data"], run["recipe"]) == (data, recipe)]
        good = [run for run in group if "error" not in run]
        row: dict[str, Any] = {"data": data, "recipe": recipe, "repeats": len(good)}
        if good:
            row |= _average(good) | _get_significance(recipe, (comparisons or {}).get(data))
            if row["verdict"] == FAILED:
                row["verdict"] = f"failed on {len(group) - len(good)} of {len(group)} folds"
        else:
            row["error"] = group[0]["error"]
        rows.append(row)
    return sorted(rows, key=lambda row: (order[row["data"]], -row.get("accuracy", -1.0)))


def format_table(
    rows: Sequence[dict[str, Any]], comparisons: Mapping[str, Comparison] | None = None
) -> str:
    """Format summary rows as a text table.

    Parameters
    ----------
    rows : sequence of dict
        From `summarize`.
    comparisons : mapping of str to Comparison, default=None
        By name of the data set.

    Returns
    -------
    table : str
        One line per row, then the errors, then one sentence per data set on which recipe is best;
        no trailing newline.
    """
    good = [row for row in rows if "error" not in row]
    failed = [row for row in rows if "error" in row]
    lines = [format_columns([HEADER, *map(_format_row, good)], left=3)]
    lines += [f"{row['data']}  {row['recipe']}  failed: {row['error']}" for row in failed]
    described = [f"{data}: {found.describe()}" for data, found in (comparisons or {}).items()]
    return "\n".join([*lines, *([""] if described else []), *described])


def write_benchmark(benchmark: Benchmark, environment: dict[str, Any], folder: str | Path) -> Path:
    """Write ``benchmark.json`` with every run, and the self-contained page ``benchmark.html``.

    Parameters
    ----------
    benchmark : Benchmark
        The benchmark with its runs so far.
    environment : dict
        From `describe_environment`.
    folder : path-like
        Created if it does not exist; each file is replaced atomically.

    Returns
    -------
    page : Path
        The HTML file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = summarize(benchmark.runs, benchmark.comparisons)
    content = {
        "environment": environment,
        "summary": [{k: v for k, v in row.items() if k != "confusion_matrix"} for row in rows],
        "comparisons": {
            data: {k: v for k, v in found.to_dict().items() if k not in ("rows", "runs")}
            for data, found in benchmark.comparisons.items()
        },
        "runs": benchmark.runs,
    }
    write_atomically(folder / "benchmark.json", json.dumps(content, indent=1) + "\n")
    html = render(
        "benchmark.html.jinja",
        rows=rows,
        environment=environment,
        verdicts={data: found.describe() for data, found in benchmark.comparisons.items()},
    )
    write_atomically(folder / "benchmark.html", html)
    return folder / "benchmark.html"


def _average(runs: Sequence[Run]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in MEASURES:
        values = [run[name] for run in runs if run[name] is not None]
        means[name] = statistics.fmean(values) if values else None
    accuracies = [run["accuracy"] for run in runs]
    means["accuracy_sd"] = statistics.stdev(accuracies) if len(runs) > 1 else None
    means["classes"] = runs[0]["classes"]
    means["confusion_matrix"] = np.sum([run["confusion_matrix"] for run in runs], axis=0).tolist()
    return means


def _get_significance(recipe: str, comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return dict.fromkeys(("verdict", "difference", "low", "high", "p"))
    (row,) = [row for row in comparison.rows() if row.recipe == recipe]
    names = ("verdict", "difference", "low", "high", "p")
    return replace_nan({name: getattr(row, name) for name in names})


def _format_row(row: dict[str, Any]) -> tuple[str, ...]:
    deviation, n_features = row["accuracy_sd"], row["n_features"]
    return (
        row["data"],
        row["recipe"],
        row["verdict"] or "",
        f"{row['accuracy']:.4f}" + ("" if deviation is None else f" ±{deviation:.4f}"),
        f"{row['macro_f1']:.4f}",
        f"{row['fit_seconds']:.2f}",
        f"{row['images_per_second']:,.0f}",
        NOTHING if n_features is None else f"{n_features:,.0f}",
    )
