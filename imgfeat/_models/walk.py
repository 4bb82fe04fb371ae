"""Iteration over all objects inside a model."""

from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

# Types that contain no other objects.
ATOMS = (
    str,
    bytes,
    int,
    float,
    complex,
    type(None),
    type,
    np.generic,
    np.dtype,
    FunctionType,
    BuiltinFunctionType,
    ModuleType,
)


def walk(model: object) -> Iterator[Any]:
    """Yield a model and every object inside it, each once, in no particular order.

    Parameters
    ----------
    model : object
        An estimator; its attributes, containers and arrays of objects are searched.
    """
    waiting, seen = [model], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, ATOMS) or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, (list, tuple, set, frozenset)):
            waiting += part
        elif isinstance(part, np.ndarray):
            waiting += part.ravel().tolist() if part.dtype.hasobject else []
        if hasattr(part, "__dict__"):
            waiting += vars(part).values()
