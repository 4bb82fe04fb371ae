"""Validation of the schema of a model file, before any object in it is created.

skops creates objects by several kinds of nodes, some of which call a trusted name with arguments
from the file. Each kind of node is allowed only for the types that it is intended for. Objects of
compiled types, which accept any state from the file, are created by functions of imgfeat that
validate the state first.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from imgfeat._models.boosters import build_booster
from imgfeat._models.neighbors import build_ball_tree, build_kd_tree
from imgfeat._models.trees import build_tree

# Older protocols load functions differently; no version of imgfeat has written them.
PROTOCOLS = (1, 2)

# Kinds of skops nodes, and the types that each may create besides those that the caller trusts.
ALLOWED: dict[str, Collection[str]] = {
    "ListNode": {"builtins.list"},
    "SetNode": {"builtins.set", "builtins.frozenset"},
    "TupleNode": {"builtins.tuple"},
    "DictNode": {"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"},
    "RandomStateNode": {"numpy.random.mtrand.RandomState", "numpy.random.RandomState"},
    "RandomGeneratorNode": {
        "numpy.random._generator.Generator",
        "numpy.random.Generator",
    },
    "ConstructorFromReduceNode": {
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "datetime.timezone",
    },
}
LOSSES = ("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.")
METRICS = "sklearn.metrics._dist_metrics."
PATHS = {"pathlib.PosixPath", "pathlib.WindowsPath", "pathlib.PurePosixPath"}
# Former names of modules, which model files of earlier versions contain.
FORMER_MODULES = {
    "imgfeat.loading": "imgfeat.images.loading",
    "imgfeat.heads.folds": "imgfeat.heads.stratified_folds",
    "imgfeat.heads.pooling": "imgfeat.heads.family_pool",
}
# Creating a joblib.Memory would create its folder, so it is replaced by the path.
CACHE = "joblib.memory.Memory"


def build_path(*parts: str) -> Path:
    """Return a path of the current operating system, whichever system wrote the file."""
    return Path(*parts)


BUILDERS: dict[str, Callable[..., Any]] = {
    "imgfeat._models.boosters.KeptBooster": build_booster,
    "sklearn.neighbors._kd_tree.KDTree": build_kd_tree,
    "sklearn.neighbors._ball_tree.BallTree": build_ball_tree,
}
BUILDER_NAMES = {
    f"{builder.__module__}.{builder.__name__}"
    for builder in (build_tree, build_path, *BUILDERS.values())
}


def read_schema(content: bytes, trusted: Collection[str]) -> dict[str, Any]:
    """Return the validated schema of a file, with nodes of compiled types replaced.

    Parameters
    ----------
    content : bytes
        Content of ``schema.json``.
    trusted : collection of str
        Names that the caller trusts, in any kind of node.

    Raises
    ------
    ValueError
        If a type is created by a kind of node that is not intended for it.
    """
    schema = json.loads(content)
    protocol = schema["protocol"]
    if type(protocol) is not int or protocol not in PROTOCOLS:
        raise ValueError(f"skops protocol {protocol!r} is not supported")
    replaced = _replace(schema, trusted)
    return {**replaced, "protocol": protocol}


def _replace(part: Any, trusted: Collection[str]) -> Any:
    if isinstance(part, list):
        return [_replace(inner, trusted) for inner in part]
    if not isinstance(part, dict):
        return part
    part = {key: _replace(value, trusted) for key, value in part.items()}
    kind = part.get("__loader__")
    if not isinstance(kind, str):
        return part
    module = part.get("__module__")
    if isinstance(module, str) and module in FORMER_MODULES:
        part["__module__"] = FORMER_MODULES[module]
    name = f"{part.get('__module__')}.{part.get('__class__')}"
    if name in trusted and kind != "TreeNode":
        return part
    if kind == "TreeNode":
        return _make_call(build_tree, part, part["__reduce__"]["args"], part["content"])
    if kind == "ObjectNode" and name in BUILDERS:
        return _make_call(BUILDERS[name], part, part["content"])
    if kind == "ObjectNode" and name.startswith(METRICS):
        return _make_constant(part, part["__class__"])
    if kind == "ObjectNode" and name == CACHE:
        return part["content"]["content"]["location"]
    if kind == "ConstructorFromReduceNode" and name in PATHS:
        return {**_make_call(build_path, part), "content": part["content"]}
    if not _is_allowed(kind, name, part):
        raise ValueError(f"it creates {name} by a {kind}, which is not intended for it")
    return part


def _is_allowed(kind: str, name: str, part: dict[str, Any]) -> bool:
    if kind == "NdArrayNode":
        numeric = part.get("type") != "numpy" or str(part.get("file")).endswith(".npy")
        return part.get("__module__") == "numpy" and numeric
    if kind == "SparseMatrixNode":
        return str(part.get("file")).endswith(".npz")
    if kind == "LossNode":
        return name.startswith(LOSSES)
    return kind not in ALLOWED or name in ALLOWED[kind]


def _make_call(
    builder: Callable[..., Any], part: dict[str, Any], *arguments: Any
) -> dict[str, Any]:
    """Return a node that calls a function of imgfeat."""
    return {
        "__class__": builder.__name__,
        "__module__": builder.__module__,
        "__loader__": "ConstructorFromReduceNode",
        "__id__": part.get("__id__"),
        "content": {
            "__class__": "tuple",
            "__module__": "builtins",
            "__loader__": "TupleNode",
            "content": list(arguments),
        },
    }


def _make_constant(part: dict[str, Any], value: str) -> dict[str, Any]:
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "__id__": part.get("__id__"),
        "content": json.dumps(value),
        "is_json": True,
    }
