"""Imports follow the order of DESIGN.md's data flow, and never run backwards, lazy ones included."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest

import imgfeat

ROOT = Path(imgfeat.__file__).parent
# Each may import what stands before it in its own line, and all of the lines above.
ORDER = [
    ["_lazy", "_near_names", "_blas", "_optional", "_files", "_environment", "_sessions"],
    ["_compat"],
    ["caching"],
    ["images", "datasets"],
    ["_base"],
    ["backbones"],
    ["features"],
    ["_pipelines", "stateless", "batching"],
    ["heads", "ensembles"],
    ["recipes", "_models", "persistence"],
    ["tuning"],
    ["evaluation"],
    ["export"],
    ["testing", "cli"],
]
