"""The description of the objects in a model file, before any of them is made.

skops makes objects in several ways, such as calling a trusted name with arguments from the file.
Each way is allowed for what it is meant for alone; and objects of compiled types, which would take
any state from the file, are made by functions of ours that look at it first.
"""

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from imgfeat._models.boosters import build_booster
from imgfeat._models.neighbors import build_ball_tree, build_kd_tree
from imgfeat._models.trees import build_tree

# Older ones read functions in another way; no imgfeat wrote them.
PROTOCOLS = (1, 2)

# Ways to make objects, and the names that each takes, besides those that the caller trusts.
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
# Modules whose classes are in model files that were saved before they moved.
FORMER_MODULES = {
    "imgfeat.loading": "imgfeat.images.loading",
    "imgfeat.heads.folds": "imgfeat.heads.stratified_folds",
    "imgfeat.heads.pooling": "imgfeat.heads.family_pool",
}
# Opening a cache would make its folder: its path takes its place.
CACHE = "joblib.memory.Memory"


def build_path(*parts: str) -> Path:
    """Return a path of the system that this is, whichever one wrote it."""
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
    """Return the description of a file's objects, with what needs it replaced.

    Parameters
    ----------
    content : bytes
        Of ``schema.json``.
    trusted : collection of str
        Names that the caller trusts, whichever way they are made.

    Raises
    ------
    ValueError
        If an object is made in a way that is not meant for it.
    """
    schema = json.loads(content)
    protocol = schema["protocol"]
    if type(protocol) is not int or protocol not in PROTOCOLS:
        raise ValueError(f"skops protocol {protocol!r} is not read")
    replaced = _replace(schema, trusted)
    return {**replaced, "protocol": protocol}


def _replace(part: Any, trusted: Collection[str]) -> Any:
    if isinstance(part, list):
        return [_replace(inner, trusted) for inner in part]
    if not isinstance(part, dict):
        return part
    part = {key: _replace(value, trusted) for key, value in part.items()}
    way = part.get("__loader__")
    if not isinstance(way, str):
        return part
    module = part.get("__module__")
    if isinstance(module, str) and module in FORMER_MODULES:
        part["__module__"] = FORMER_MODULES[module]
    name = f"{part.get('__module__')}.{part.get('__class__')}"
    if name in trusted and way != "TreeNode":
        return part
    if way == "TreeNode":
        return _call(build_tree, part, part["__reduce__"]["args"], part["content"])
    if way == "ObjectNode" and name in BUILDERS:
        return _call(BUILDERS[name], part, part["content"])
    if way == "ObjectNode" and name.startswith(METRICS):
        return _constant(part, part["__class__"])
    if way == "ObjectNode" and name == CACHE:
        return part["content"]["content"]["location"]
    if way == "ConstructorFromReduceNode" and name in PATHS:
        return {**_call(build_path, part), "content": part["content"]}
    if not _is_allowed(way, name, part):
        raise ValueError(f"it makes a {name} as a {way}, which is not meant for it")
    return part


def _is_allowed(way: str, name: str, part: dict[str, Any]) -> bool:
    if way == "NdArrayNode":
        numeric = part.get("type") != "numpy" or str(part.get("file")).endswith(".npy")
        return part.get("__module__") == "numpy" and numeric
    if way == "SparseMatrixNode":
        return str(part.get("file")).endswith(".npz")
    if way == "LossNode":
        return name.startswith(LOSSES)
    return way not in ALLOWED or name in ALLOWED[way]


def _call(builder: Callable[..., Any], part: dict[str, Any], *arguments: Any) -> dict[str, Any]:
    """Describe the result of a function of ours."""
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


def _constant(part: dict[str, Any], value: str) -> dict[str, Any]:
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "__id__": part.get("__id__"),
        "content": json.dumps(value),
        "is_json": True,
    }
