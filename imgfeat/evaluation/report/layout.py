"""Text and Markdown tables, metric names in tables, and numbers for JSON."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

# Shown in tables instead of an undefined number.
NOTHING = "\N{EN DASH}"
WORDS = {"f1": "F1", "roc": "ROC", "pr": "PR", "auc": "AUC"}


def name_metric(name: str) -> str:
    """Return the name of a metric in tables.

    Examples
    --------
    >>> from imgfeat.evaluation.report.layout import name_metric
    >>> name_metric("f1_macro"), name_metric("roc_auc")
    ('F1 macro', 'ROC AUC')
    """
    return " ".join(WORDS.get(word, word) for word in name.split("_"))


def replace_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name for ``json.dumps``, with None instead of NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }


def shorten(text: str, length: int = 32) -> str:
    """Return a text on one line, with its middle replaced by an ellipsis if it is too long.

    Surrogates, as in a file name of unknown encoding, are escaped, since no font has them.
    """
    line = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    if len(line) <= length:
        return line
    kept = length - 1
    return f"{line[: kept - kept // 2]}…{line[len(line) - kept // 2 :]}"


def format_columns(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Align cells in columns, with a line below the first row.

    Parameters
    ----------
    rows : sequence of sequences of str
        Of equal length.
    left : int, default=1
        Number of columns that are left-aligned; the others are right-aligned.

    Returns
    -------
    text : str
        One line per row; no trailing newline.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def format_markdown(rows: Sequence[Sequence[str]]) -> str:
    r"""Write cells as a Markdown table, the first row as its header.

    Parameters
    ----------
    rows : sequence of sequences of str
        Of equal length; the cells are escaped. The first column is left-aligned, the others are
        right-aligned.

    Returns
    -------
    text : str
        No trailing newline.

    Examples
    --------
    >>> from imgfeat.evaluation.report.layout import format_markdown
    >>> print(format_markdown([("class", "images"), ("a|b", "7")]))
    | class | images |
    |---|---:|
    | a\|b | 7 |
    """
    lines = [f"| {' | '.join(map(escape_markdown, row))} |" for row in rows]
    return "\n".join([lines[0], "|---|" + "---:|" * (len(rows[0]) - 1), *lines[1:]])


def escape_markdown(text: str) -> str:
    """Escape a text so that Markdown shows it unchanged, also in a table cell."""
    for plain, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(plain, safe)
    escaped = "".join(f"\\{letter}" if letter in "\\`*_[]|$~" else letter for letter in text)
    return " ".join(escaped.split())
