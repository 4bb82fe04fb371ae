"""Recipes: Python files that each define a pipeline and a search space for it."""

import ast
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline

from imgfeat._near_names import suggest


@dataclass(frozen=True)
class Recipe:
    """A pipeline with a search space.

    Attributes
    ----------
    name : str
        Name of the file without its suffix.
    description : str
        First line of the file's docstring.
    build : callable
        ``build(random_state=0)`` returns an unfitted Pipeline.
    space : dict
        Optuna distributions by the names of the pipeline's parameters.
    """

    name: str
    description: str
    build: Callable[..., Pipeline]
    space: Mapping[str, Any]


class RecipeError(ValueError):
    """A recipe that does not exist, or a file that does not define one."""


def list_recipes() -> dict[str, str]:
    """Return the names and one-line descriptions of all recipes that come with imgfeat.

    Returns
    -------
    recipes : dict of str to str

    Examples
    --------
    >>> from imgfeat.recipes import list_recipes
    >>> "hog_svm" in list_recipes()
    True
    """
    return {path.stem: _describe(path) for path in _shipped()}


def load_recipe(name_or_path: str | os.PathLike) -> Recipe:
    """Load a recipe by name, or from a file of your own.

    Parameters
    ----------
    name_or_path : str or path-like
        A name from `list_recipes`, or the path of a Python file, whose code is run.

    Returns
    -------
    recipe : Recipe

    Raises
    ------
    RecipeError
        If there is no such recipe, or the file lacks a docstring, ``build`` or ``SPACE``.

    Examples
    --------
    >>> from imgfeat.recipes import load_recipe
    >>> load_recipe("hog_svm").build().steps[0]
    ('load', ImageLoader(color='gray'))
    """
    path = _find(os.fspath(name_or_path))
    description = _describe(path)
    spec = importlib.util.spec_from_file_location(f"imgfeat_recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's file may raise any error
        raise RecipeError(f"{path} does not run: {type(error).__name__}: {error}") from error
    build, space = getattr(module, "build", None), getattr(module, "SPACE", None)
    if not callable(build):
        raise RecipeError(f"{path} has no function build(random_state=0): define it.")
    if not isinstance(space, Mapping):
        raise RecipeError(f"{path} has no dict SPACE: define it, {{}} if there is nothing to tune.")
    return Recipe(path.stem, description, build, space)


def _find(name_or_path: str) -> Path:
    shipped = {path.stem: path for path in _shipped()}
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.suffix == ".py" and path.is_file():
        return path
    if path.suffix == ".py":
        beside = [str(other) for other in path.parent.glob("*.py")]
        raise RecipeError(
            f"No recipe file {name_or_path}. {suggest(name_or_path, [*beside, *shipped])}"
            f"The recipes of imgfeat are {', '.join(sorted(shipped))}."
        )
    raise RecipeError(
        f"No recipe {name_or_path!r}. {suggest(name_or_path, shipped)}Give the path of a .py file "
        f"or one of {', '.join(sorted(shipped))}."
    )


def _shipped() -> list[Path]:
    """List the recipe files, which are in the installed package or beside it in a checkout."""
    package = Path(__file__).parent
    for folder in (package / "pipelines", package.parent / "pipelines"):
        if folder.is_dir():
            return sorted(p for p in folder.glob("*.py") if not p.name.startswith("_"))
    raise RecipeError(f"imgfeat is damaged: {package} has no recipes. Install it again.")


def _describe(path: Path) -> str:
    try:
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    except (OSError, SyntaxError, ValueError) as error:
        raise RecipeError(f"{path} is not a Python file: {error}") from error
    if not docstring:
        raise RecipeError(
            f"{path} has no docstring: its first line is the description of the recipe."
        )
    return docstring.splitlines()[0]
