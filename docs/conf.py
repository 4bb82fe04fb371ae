"""The settings of the site; ``make docs`` builds it, without a network."""

import importlib
import inspect
import os
import re
import warnings
from pathlib import Path

from sphinx.ext.autosummary import Autosummary

import imgfeat

# Weights come with packages: nothing that an example does may try to download any.
os.environ["HF_HUB_OFFLINE"] = "1"

DOCS = Path(__file__).parent

project = "imgfeat"
author = "The imgfeat developers"
copyright = author
version = release = imgfeat.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "examples", "**/README.txt"]
default_role = "py:obj"
highlight_language = "none"
pygments_style = "tango"

myst_heading_anchors = 3

extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}

numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_typehints = "none"

html_theme = "pydata_sphinx_theme"
html_title = "imgfeat"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_nav_level": 1,
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_sidebars = {"getting_started": [], "choosing": [], "performance": []}

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "abort_on_example_error": False,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "within_subsection_order": "FileNameSortKey",
    "min_reported_time": 1,
    # what is printed is shown, and not the value of the last line
    "capture_repr": (),
}

# Optuna's matplotlib plots are marked as experimental, on import.
warnings.filterwarnings("ignore", message=".*is experimental", category=Warning)

# The public packages, in the order in which data flows.
MODULES = {
    "imgfeat": "streaming, model files, errors",
    "imgfeat.images": "reading images",
    "imgfeat.datasets": "folders and data sets",
    "imgfeat.features": "classical and deep features",
    "imgfeat.backbones": "networks",
    "imgfeat.heads": "classifiers for features",
    "imgfeat.training": "fine-tuning and augmentation",
    "imgfeat.recipes": "pipelines by name",
    "imgfeat.tuning": "searches for parameters",
    "imgfeat.evaluation": "comparison and evaluation",
    "imgfeat.export": "ONNX files",
    "imgfeat.testing": "checks of the contract",
}


def write_reference(folder: Path) -> None:
    """Write one page for each public package, with every name of its ``__all__``."""
    folder.mkdir(exist_ok=True)
    homes = {}
    for name in [*list(MODULES)[1:], "imgfeat"]:
        module = importlib.import_module(name)
        for public in list_public(module):
            homes.setdefault(id(getattr(module, public)), f"{name}.{public}")
    for name, title in MODULES.items():
        write_if_changed(folder / f"{name}.rst", describe_module(name, title, homes))
    lines = ["API reference", "=============", "", "Every public name, by package.", ""]
    lines += [".. toctree::", "   :maxdepth: 2", "", *(f"   {name}" for name in MODULES)]
    write_if_changed(folder / "index.rst", "\n".join(lines) + "\n")


def list_public(module) -> list[str]:
    """Return the public names of a module, without those of packages."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return sorted(name for name in names if not inspect.ismodule(getattr(module, name)))


def describe_module(name: str, title: str, homes: dict[int, str]) -> str:
    """Return the page of a package; names that another package has as well are links to it."""
    module = importlib.import_module(name)
    groups: dict[str, list[str]] = {
        "Classes": [],
        "Functions": [],
        "Errors and warnings": [],
        "Constants and instances": [],
    }
    elsewhere = []
    for public in list_public(module):
        value = getattr(module, public)
        if homes[id(value)] != f"{name}.{public}":
            elsewhere.append(homes[id(value)])
        elif inspect.isclass(value) and issubclass(value, BaseException):
            groups["Errors and warnings"].append(public)
        elif inspect.isclass(value):
            groups["Classes"].append(public)
        elif inspect.isroutine(value):
            groups["Functions"].append(public)
        else:
            groups["Constants and instances"].append(public)
    heading = f"{name}: {title}"
    lines = [heading, "=" * len(heading), "", f".. currentmodule:: {name}", ""]
    lines += [*inspect.cleandoc(module.__doc__ or "").splitlines(), ""]
    for group, members in groups.items():
        if members:
            lines += [group, "-" * len(group), "", ".. autosummary::", "   :toctree: generated", ""]
            lines += [f"   {member}" for member in members] + [""]
    if elsewhere:
        lines += ["Names of other packages", "-----------------------", ""]
        lines += ["These can be imported from here as well.", ""]
        lines += [f"- :py:obj:`{full}`" for full in sorted(elsewhere)]
    return "\n".join(lines) + "\n"


def write_if_changed(path: Path, text: str) -> None:
    """Leave files as they are that would be the same: Sphinx then need not read them again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


write_reference(DOCS / "api")


class Summary(Autosummary):
    """Tables of names without the marks of references, which are of no use in a table."""

    def get_items(self, names):
        """Return the rows of a table."""
        return [
            (name, signature, re.sub(r"\s*\[[^]]+\]_", "", text), real)
            for name, signature, text, real in super().get_items(names)
        ]


def setup(app) -> None:
    """Register what is in this file."""
    app.add_directive("autosummary", Summary, override=True)
