"""Render the Jinja templates of this package; all values are escaped."""

from importlib import resources

import jinja2

from imgfeat.evaluation.report.layout import escape_markdown


def render(name: str, **values: object) -> str:
    """Render a template.

    Parameters
    ----------
    name : str
        File name, such as "benchmark.html.jinja"; values are escaped for HTML if it has ".html".
    **values
        Variables of the template; an undefined one is an error.

    Returns
    -------
    text : str
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=".html" in name,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["markdown"] = escape_markdown
    return environment.get_template(name).render(**values)


def _read(name: str) -> str:
    return resources.files("imgfeat.evaluation.report").joinpath(name).read_text(encoding="utf-8")
