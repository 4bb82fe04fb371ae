"""Write an evaluation as an HTML or Markdown page with plots."""

import base64
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from imgfeat._environment import describe_environment
from imgfeat._files import write_atomically
from imgfeat.evaluation.evaluate import Evaluation
from imgfeat.evaluation.report.layout import name_metric
from imgfeat.evaluation.report.mistakes import find_mistakes
from imgfeat.evaluation.report.plots import draw_pictures
from imgfeat.evaluation.report.templates import render


def write_report(evaluation: Evaluation, path: str | os.PathLike[str]) -> Path:
    """Write a report with tables, plots and the most confident errors.

    Parameters
    ----------
    evaluation : Evaluation
        From `imgfeat.evaluation.evaluate`.
    path : path-like
        With the suffix ``.html``, one self-contained file. With the suffix ``.md``, the pictures
        are written to a folder beside it, whose name is that of the file with ``_files`` appended.

    Returns
    -------
    path : Path

    Raises
    ------
    ValueError
        If the path has another suffix, or its folder does not exist.
    """
    target = check_report_path(path)
    values = {
        "evaluation": evaluation,
        "environment": describe_environment(),
        "mistakes": find_mistakes(evaluation),
        "n_wrong": int((evaluation.outputs.y_true != evaluation.outputs.y_pred).any(axis=1).sum()),
        "headings": _list_headings(evaluation),
    }
    pictures = draw_pictures(evaluation)
    if target.suffix.lower() == ".md":
        _write_markdown(target, pictures, values)
    else:
        page = render("evaluation.html.jinja", pictures=pictures, embed=_embed, **values)
        write_atomically(target, page)
    return target


def check_report_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a report, after checking its suffix and folder."""
    target = Path(path)
    if target.suffix.lower() not in (".html", ".htm", ".md"):
        raise ValueError(f"The path of a report must end in .html or .md, got {target}.")
    if not target.parent.is_dir():
        raise ValueError(
            f"The folder {target.parent} of the report does not exist. Create it first."
        )
    return target


def _write_markdown(target: Path, pictures: dict[str, bytes], values: dict[str, Any]) -> None:
    folder = target.with_name(f"{target.stem}_files")
    folder.mkdir(exist_ok=True)
    files = {f"{title.lower().replace(',', '').replace(' ', '-')}.png": title for title in pictures}
    for name, title in files.items():
        write_atomically(folder / name, pictures[title])
    thumbnails = {}
    for i, mistake in enumerate(values["mistakes"]):
        if mistake.picture is not None:
            thumbnails[i] = f"mistake-{i + 1:02}.png"
            write_atomically(folder / thumbnails[i], mistake.picture)
    # Remove thumbnails of an earlier report with the same name.
    for old in folder.glob("mistake-*.png"):
        if old.name not in thumbnails.values():
            old.unlink()
    text = render(
        "evaluation.md.jinja",
        files=files,
        thumbnails=thumbnails,
        link=lambda name: quote(f"{folder.name}/{name}", errors="surrogateescape"),
        **values,
    )
    write_atomically(target, text)


def _list_headings(evaluation: Evaluation) -> list[str]:
    what = "label" if evaluation.kind == "multilabel" else "class"
    return [what, "images", *map(name_metric, evaluation.per_class[0])]


def _embed(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
