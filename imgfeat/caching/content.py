"""Digests of Python values by content: data, objects, functions, classes, networks."""

import copyreg
import functools
import hashlib
import os
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from numbers import Integral, Real
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.caching.code import Code, find_version, read_code
from imgfeat.caching.file_hashes import hash_file

if TYPE_CHECKING:
    import torch

# With by_type=False, arrays up to this size have the same digest as equal lists.
MAX_LISTED = 10_000
# Flag in type.__flags__ of classes made by a class statement.
IS_HEAP_TYPE = 1 << 9
# Prefixes of hooks of torch modules that the forward pass does not call.
HOOKS_OUTSIDE_FORWARD = ("_state_dict", "_load_state_dict", "_backward", "_is_full_backward")
# Members that Python and its standard library add to a class.
AUTOMATIC_MEMBERS = frozenset(
    {
        "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__",
        "__annotations_cache__", "__dict__", "__doc__", "__firstlineno__", "__module__",
        "__orig_bases__", "__parameters__", "__qualname__", "__slotnames__",
        "__static_attributes__", "__type_params__", "__weakref__", "_abc_impl",
    }
)  # fmt: skip


class CannotIdentifyError(ValueError):
    """The content of a value, such as an open file, cannot be hashed, so results are not cached."""


def digest_value(value: Any, *, by_type: bool = True) -> bytes:
    """Return a digest of a value's content, the same in every process.

    Functions and classes are digested by their code and all that it refers to, installed packages
    by name and version, torch modules by all their attributes except the training mode, and strings
    that name a file also by the content of the file.

    Parameters
    ----------
    value : object
    by_type : bool, default=True
        Whether 9 differs from ``np.int64(9)`` and ``9.0``, a list from a tuple and an array, and a
        path from a string, which can give different results.

    Returns
    -------
    digest : bytes of length 16

    Raises
    ------
    CannotIdentifyError
        If the content cannot be hashed.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat.caching.content import digest_value
    >>> digest_value(9) == digest_value(np.int64(9))
    False
    >>> digest_value(9, by_type=False) == digest_value(np.int64(9), by_type=False)
    True
    """
    return Digester().digest(value, by_type=by_type)


def join_parts(kind: str, *parts: bytes | memoryview) -> bytes:
    """Return one digest of several parts in order."""
    joined = hashlib.blake2b(kind.encode() + b"\0", digest_size=16)
    for part in parts:
        joined.update(struct.pack("<q", len(part)))
        joined.update(part)
    return joined.digest()


class Digester:
    """Computes digests of values that may refer to each other and to themselves."""

    def __init__(self) -> None:
        self._in_progress: list[int] = []
        # Objects are stored as well, since the id of a deleted object can be reused.
        self._known: dict[tuple[int, bool], tuple[Any, bytes]] = {}

    def digest(self, value: Any, *, by_type: bool = True) -> bytes:
        """Return the digest of a value; see `digest_value`."""
        plain = _digest_plain(value, by_type)
        if plain is not None:
            return plain
        key = (id(value), by_type)
        if key in self._known:
            return self._known[key][1]
        if id(value) in self._in_progress:
            depth = len(self._in_progress) - self._in_progress.index(id(value))
            return join_parts("itself", str(depth).encode())
        self._in_progress.append(id(value))
        try:
            found = self._digest_object(value, by_type)
        except RecursionError as error:
            raise CannotIdentifyError(f"A {type(value).__name__} is nested too deeply.") from error
        finally:
            self._in_progress.pop()
        self._known[key] = (value, found)
        return found

    def digest_all(self, kind: str, *values: Any) -> bytes:
        """Return one digest of several values in order."""
        return join_parts(kind, *(self.digest(value) for value in values))

    def _digest_object(self, value: Any, by_type: bool) -> bytes:
        special = self.digest_special(value, by_type)
        if special is not None:
            return special
        if isinstance(value, type):
            return self._digest_class(value)
        if isinstance(value, np.ndarray):
            return self._digest_array(value, by_type)
        if type(value) in (list, tuple) or (not by_type and isinstance(value, list | tuple)):
            kind = type(value).__name__ if by_type else "sequence"
            return join_parts(kind, *(self.digest(part, by_type=by_type) for part in value))
        if type(value) in (set, frozenset):
            return join_parts("set", *sorted(self.digest(part) for part in value))
        if type(value) in (dict, OrderedDict, MappingProxyType):
            pairs = (self.digest(part, by_type=by_type) for pair in value.items() for part in pair)
            return join_parts("mapping", *pairs)
        if isinstance(value, FunctionType):
            return self._digest_function(value)
        if isinstance(value, MethodType):
            return self.digest_all("method", value.__func__, value.__self__)
        if isinstance(value, ModuleType):
            return self._digest_module(value, frozenset())
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(value, torch.Tensor):
            return _digest_tensor(value, torch)
        if torch is not None and isinstance(value, torch.nn.Module):
            return self._digest_network(value)
        return self.digest_reduced(value)

    def digest_special(self, value: Any, by_type: bool) -> bytes | None:
        """Return the digest of a value with special handling in a subclass, or None."""
        return None

    def list_members(self, kind: type) -> dict[str, Any]:
        """Return the members of a user's class to digest."""
        return {name: part for name, part in vars(kind).items() if name not in AUTOMATIC_MEMBERS}

    def digest_texts(self, texts: Iterable[str]) -> bytes:
        """Digest the strings in a function, and the content of files that they name."""
        return self.digest(list(texts))

    def list_globals(self, code: Code, names: Mapping[str, Any]) -> list[str]:
        """Return the names in a user's module that the code reads."""
        return [name for name in code.globals if name in names]

    def _digest_array(self, array: NDArray[Any], by_type: bool) -> bytes:
        if not by_type and array.size <= MAX_LISTED and array.dtype.kind in "biufUSO":
            return self.digest(array.tolist(), by_type=False)
        if array.dtype.hasobject:
            return self.digest_all("objects", array.shape, array.reshape(-1).tolist())
        native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
        shape = _encode(f"{native.dtype.descr} {array.shape}")
        return join_parts("array", shape, native.reshape(-1).view(np.uint8).data)

    def _digest_network(self, module: "torch.nn.Module") -> bytes:
        state = {
            # Keys of hooks are numbers that depend on the process.
            name: list(part.values()) if "_hooks" in name and isinstance(part, dict) else part
            for name, part in vars(module).items()
            if not name.startswith(HOOKS_OUTSIDE_FORWARD)
        }
        # Networks always run in evaluation mode.
        state.pop("training", None)
        if "_code" in state:  # of torch.fx, which generates the code from the graph
            state.pop("_graph", None)
        return self.digest_all("network", type(module), state)

    def digest_reduced(self, value: Any) -> bytes:
        """Digest an object by its parts as pickle saves them."""
        wrapped = getattr(value, "__wrapped__", None) or getattr(value, "py_func", None)
        if isinstance(wrapped, FunctionType):  # by functools.lru_cache or numba
            return self.digest_all("wrapped", type(value), wrapped)
        if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, type):
            return self.digest_all("built in", value.__name__, value.__self__)
        reduce = copyreg.dispatch_table.get(type(value))
        try:
            reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
        except Exception as error:  # classes that cannot be pickled raise many errors
            raise CannotIdentifyError(
                f"The content of a {type(value).__name__} cannot be hashed, since it cannot be "
                f"pickled: {error}"
            ) from error
        if isinstance(reduced, str):
            module = getattr(value, "__module__", None) or type(value).__module__
            return self._digest_name(module, reduced)
        function, arguments, state, *items = (*reduced, None, None, None)[:5]
        contents = [None if part is None else list(part) for part in items]
        return self.digest_all("object", function, arguments, state, *contents)

    def _digest_name(self, module: str, name: str) -> bytes:
        version = find_version(module)
        if version is None:
            raise CannotIdentifyError(f"{module}.{name} is not part of a package with a version.")
        return join_parts("name", _encode(f"{module}.{name} {version}"))

    def _digest_class(self, kind: type) -> bytes:
        written_in_c = not kind.__flags__ & IS_HEAP_TYPE
        if written_in_c or (_is_importable(kind) and find_version(kind.__module__) is not None):
            return self._digest_name(kind.__module__, kind.__qualname__)
        members = [
            self.digest_all("member", name, _open_member(member))
            for name, member in sorted(self.list_members(kind).items())
        ]
        return join_parts("class", self.digest_all("bases", *kind.__bases__), *members)

    def _digest_function(self, function: FunctionType) -> bytes:
        if _is_importable(function) and find_version(function.__module__) is not None:
            return self._digest_name(function.__module__, function.__qualname__)
        code = read_code(function.__code__)
        defaults = (function.__defaults__, function.__kwdefaults__)
        cells = [_open_cell(cell) for cell in function.__closure__ or ()]
        return join_parts(
            "function",
            self.digest_all("held", defaults, cells, vars(function)),
            self._digest_code(code, function.__globals__),
        )

    def _digest_code(self, code: Code, names: Mapping[str, Any]) -> bytes:
        parts = [code.digest, self.digest_texts(code.texts)]
        for name in self.list_globals(code, names):
            parts += [_encode(name), self._digest_used(names[name], code)]
        for name in code.imports:
            parts += [_encode(name), self._digest_import(name, code)]
        return join_parts("code", *parts)

    def _digest_used(self, value: Any, code: Code) -> bytes:
        if isinstance(value, ModuleType):
            return self._digest_module(value, code.attributes)
        return self.digest(value)

    def _digest_import(self, name: str, code: Code) -> bytes:
        if name in sys.modules:
            return self._digest_module(sys.modules[name], code.attributes)
        return self._digest_name(name, "")

    def _digest_module(self, module: ModuleType, attributes: frozenset[str]) -> bytes:
        """Digest a package by its version, and a user's own module by its used attributes."""
        name = module.__name__
        if find_version(name) is not None:
            return self._digest_name(name, "")
        if id(module) in self._in_progress:
            return join_parts("module under way")
        self._in_progress.append(id(module))
        try:
            parts = [join_parts("module")]
            for key in sorted(attributes & vars(module).keys()):
                value = vars(module)[key]
                is_module = isinstance(value, ModuleType)
                part = self._digest_module(value, attributes) if is_module else self.digest(value)
                parts += [_encode(key), part]
            return join_parts("used", *parts)
        finally:
            self._in_progress.pop()


def _digest_plain(value: Any, by_type: bool) -> bytes | None:
    """Return the digest of a number, string or bytes, or None for anything else."""
    if value is None or value is Ellipsis or value is NotImplemented:
        return join_parts("constant", _encode(repr(value)))
    if isinstance(value, np.generic) and by_type and value.dtype.kind in "biufcSUmM":
        return join_parts("scalar", _encode(value.dtype.str), value.tobytes())
    if isinstance(value, bool | np.bool_):
        return join_parts("bool", _encode(repr(bool(value))))
    if type(value) is int or (not by_type and isinstance(value, Integral)):
        return join_parts("int", _encode(repr(int(value))))
    if type(value) is float or (
        not by_type and isinstance(value, Real) and not isinstance(value, Fraction)
    ):
        number = float(value)
        if not by_type and number.is_integer():
            return join_parts("int", _encode(repr(int(number))))
        return join_parts("float", struct.pack("<d", number))
    if type(value) is complex:
        return join_parts("complex", struct.pack("<dd", value.real, value.imag))
    if isinstance(value, bytes | bytearray):
        return join_parts("bytes" if by_type else "binary", bytes(value))
    if type(value) is str or isinstance(value, PurePath) or (
        not by_type and isinstance(value, str)
    ):  # fmt: skip
        kind = type(value).__name__ if by_type else "text"
        content = _read_if_file(value)
        return join_parts(kind, os.fspath(value).encode(errors="surrogatepass"), _encode(content))
    if isinstance(value, slice | range):
        parts = (value.start, value.stop, value.step)
        return join_parts(type(value).__name__, _encode(repr(parts)))
    if isinstance(value, CodeType):
        return read_code(value).digest
    return None


def _digest_tensor(tensor: "torch.Tensor", torch: ModuleType) -> bytes:
    try:
        flat = tensor.detach().cpu().contiguous().flatten()
        content = flat.view(torch.uint8).numpy().data
    except Exception as error:  # layouts and devices that cannot be converted
        raise CannotIdentifyError(f"The values of a tensor cannot be read: {error}") from error
    return join_parts("tensor", _encode(f"{tensor.dtype} {tuple(tensor.shape)}"), content)


def _read_if_file(name: str | PurePath) -> str:
    try:
        return hash_file(name) if os.path.isfile(name) else ""
    except OSError as error:
        raise CannotIdentifyError(f"The file {name} cannot be read: {error}") from error


def _open_member(member: Any) -> Any:
    if isinstance(member, staticmethod | classmethod):
        return (type(member).__name__, member.__func__)
    if isinstance(member, property):
        return ("property", member.fget, member.fset, member.fdel)
    if isinstance(member, functools.cached_property):
        return ("cached property", member.func)
    if type(member).__name__ in ("member_descriptor", "getset_descriptor"):
        return "slot"
    return member


def _open_cell(cell: CellType) -> Any:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not assigned yet
        return ()


def _is_importable(value: type | FunctionType) -> bool:
    """Return whether a class or function can be imported by its name."""
    found: Any = sys.modules.get(value.__module__ or "")
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value


def _encode(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
