"""Public names of a package that are imported when they are first used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def attach(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable]:
    """Return the functions ``__getattr__`` and ``__dir__`` of a package (PEP 562).

    Parameters
    ----------
    package : str
        The ``__name__`` of the package.
    homes : mapping of str to str
        The module of each public name, absolute or relative to the package, such as ``".hog"``. A
        name that is the last part of its module refers to the module itself.

    Returns
    -------
    getattr, dir : function

    Examples
    --------
    >>> from imgfeat._lazy import attach
    >>> getattribute, _ = attach("imgfeat", {"HOG": ".features.hog"})
    >>> getattribute("HOG")()
    HOG()
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(homes[name], package)
        return module if homes[name].rpartition(".")[2] == name else getattr(module, name)

    def list_names() -> list[str]:
        return sorted(homes)

    return find, list_names
