"""Imports follow the flow of data, from images to files, and never run backwards."""

import ast
from pathlib import Path

import pytest

import imgfeat

ROOT = Path(imgfeat.__file__).parent
# Each imports what stands before it, in its own line or in the lines above; imports within
# functions count as well.
ORDER = [
    [
        *("_protocols", "_lazy", "_near_names", "_blas"),
        *("_optional", "_files", "_environment", "_sessions"),
    ],
    ["_compat", "caching", "ops"],
    ["images", "datasets", "_base"],
    ["backbones"],
    ["features"],
    ["_pipelines", "stateless", "_batches", "batching"],
    ["heads", "ensembles"],
    ["training"],
    ["recipes", "_models", "persistence"],
    ["tuning"],
    ["evaluation"],
    ["export"],
    ["testing", "cli"],
]
RANKS = {name: (line, place) for line, row in enumerate(ORDER) for place, name in enumerate(row)}
# Imported by the modules in front, as one imports a library.
ROOT_NAMES = {"__version__"}


def list_imports(path):
    """Return the parts of the package that a file imports, by their names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "imgfeat":
            parts = node.module.split(".")
            found |= {parts[1]} if parts[1:] else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            found |= {parts[1] for parts in names if parts[0] == "imgfeat" and parts[1:]}
    return found - ROOT_NAMES


def test_every_part_has_its_place():
    parts = {path.stem for path in ROOT.glob("*.py")} | {p.parent.name for p in ROOT.glob("*/*.py")}
    assert parts - {"__init__", "pipelines"} == set(RANKS)


@pytest.mark.parametrize("part", RANKS)
def test_no_import_runs_backwards(part):
    files = sorted((ROOT / part).rglob("*.py")) or [ROOT / f"{part}.py"]
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        later = {other for other in list_imports(path) if RANKS[other] > RANKS[part]}
        assert later == set(), name
