"""Benchmark results as a table for the terminal and as one self-contained page."""

import json
import statistics
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from imgfeat._files import write_atomically

Run = dict[str, Any]
MEASURES = ("accuracy", "macro_f1", "fit_seconds", "images_per_second", "n_features")


def summarize(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Average the repeats of each data set and recipe.

    Parameters
    ----------
    runs : sequence of dict
        From `run_benchmark`.

    Returns
    -------
    rows : list of dict
        data, recipe, repeats, the mean of each measure, accuracy_sd (None for one repeat), and
        error, the first one, where every repeat failed. In order of data, best accuracy first.
    """
    rows = []
    keys = dict.fromkeys((run["data"], run["recipe"]) for run in runs)
    order = {data: i for i, data in enumerate(dict.fromkeys(data for data, _ in keys))}
    for data, recipe in keys:
        group = [run for run in runs if (run["data"], run["recipe"]) == (data, recipe)]
        good = [run for run in group if "error" not in run]
        row: dict[str, Any] = {"data": data, "recipe": recipe, "repeats": len(good)}
        if good:
            row |= {name: statistics.fmean(run[name] for run in good) for name in MEASURES}
            accuracies = [run["accuracy"] for run in good]
            row["accuracy_sd"] = statistics.stdev(accuracies) if len(good) > 1 else None
        else:
            row["error"] = group[0]["error"]
        rows.append(row)
    return sorted(rows, key=lambda row: (order[row["data"]], -row.get("accuracy", -1.0)))


def format_table(rows: Sequence[dict[str, Any]]) -> str:
    """Lay out summary rows as text.

    Parameters
    ----------
    rows : sequence of dict
        From `summarize`.

    Returns
    -------
    table : str
        One line a row; no trailing newline.
    """
    header = ("data", "recipe", "accuracy", "macro F1", "fit s", "images/s", "features")
    lines = [header, *(_format_row(row) for row in rows if "error" not in row)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    text.insert(1, "-" * len(text[0]))
    failed = [row for row in rows if "error" in row]
    return "\n".join(
        [*text, *(f"{row['data']}  {row['recipe']}  failed: {row['error']}" for row in failed)]
    )


def write_report(runs: Sequence[Run], environment: dict[str, Any], folder: str | Path) -> Path:
    """Write ``benchmark.json``, every run of it, and ``benchmark.html``, which needs no network.

    Parameters
    ----------
    runs : sequence of dict
        From `run_benchmark`.
    environment : dict
        From `describe_environment`.
    folder : path-like
        Created if absent; the files are replaced, each when it is complete.

    Returns
    -------
    page : Path
        The HTML file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = summarize(runs)
    content = {"environment": environment, "summary": rows, "runs": list(runs)}
    write_atomically(folder / "benchmark.json", json.dumps(content, indent=1) + "\n")
    template = resources.files("imgfeat.evaluation").joinpath("benchmark.html.jinja").read_text()
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        template
    )
    html = page.render(runs=runs, rows=rows, environment=environment)
    write_atomically(folder / "benchmark.html", html)
    return folder / "benchmark.html"


def _format_row(row: dict[str, Any]) -> tuple[str, ...]:
    deviation = row["accuracy_sd"]
    return (
        row["data"],
        row["recipe"],
        f"{row['accuracy']:.4f}" + ("" if deviation is None else f" ±{deviation:.4f}"),
        f"{row['macro_f1']:.4f}",
        f"{row['fit_seconds']:.2f}",
        f"{row['images_per_second']:,.0f}",
        f"{row['n_features']:,.0f}",
    )
