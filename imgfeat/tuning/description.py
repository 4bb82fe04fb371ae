"""Digests of estimators, functions and data that any process finds the same, or refuses to give."""

import dis
import functools
import hashlib
import inspect
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import joblib
import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from imgfeat.caching.fingerprints import fingerprint
from imgfeat.stateless import find_learner

# Parameters that say how fast it goes, or where results are put, and not what they are.
SPEED = {"memory", "n_jobs", "n_threads", "verbose"}
PLAIN = (str, bytes, int, float, complex, bool, type(None), type(Ellipsis))
# Members of every class that say nothing of what it does.
BOOKKEEPING = {
    "__dict__", "__weakref__", "__module__", "__doc__", "__qualname__", "__annotations__",
    "__abstractmethods__", "_abc_impl", "__firstlineno__", "__static_attributes__",
    "__parameters__", "__orig_bases__", "__annotate_func__", "__annotations_cache__",
}  # fmt: skip
# What code does to a list or dict that it fills, such as one that counts calls.
FILLS = {"append", "extend", "add", "update", "clear", "setdefault", "pop"}

PYTHON = f"Python {sys.version_info.major}.{sys.version_info.minor}"


class UnidentifiedError(ValueError):
    """An object that another process cannot tell from others."""


def digest(value: Any) -> str:
    """Return what tells a value from others, in every process.

    Parameters
    ----------
    value : object
        Estimators count with all parameters; functions and classes of users with their code and
        whatever that refers to, those of installed packages with their name and version.

    Returns
    -------
    digest : str
        32 hexadecimal digits.

    Raises
    ------
    UnidentifiedError
        If that cannot be told: of lambdas, of functions that keep variables of another function,
        and of objects that cannot be pickled.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from imgfeat.tuning.description import digest
    >>> digest(SVC()) == digest(SVC(C=1.0)), digest(SVC()) == digest(SVC(kernel="poly"))
    (True, False)
    """
    try:
        return hash_text(repr(_Describer().describe(value)))
    except RecursionError as error:
        raise UnidentifiedError(f"{type(value).__name__} is nested too deeply") from error


def hash_text(text: str) -> str:
    """Return 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def hash_array(array: NDArray[Any]) -> str:
    """Return what tells an array from others of another content, kind or shape."""
    if array.dtype.hasobject:
        return _hash_pickle(array)
    content = hashlib.blake2b(f"{array.dtype.str} {array.shape}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return content.hexdigest()


class _Describer:
    """Makes nested tuples of plain values, the same in every process, of anything."""

    def __init__(self) -> None:
        # What was described already, kept so that no other takes its id, and what is about to be.
        self._known: dict[int, tuple[Any, str]] = {}
        self._open: set[int] = set()
        # Within code, lambdas and closures are told by their own code.
        self._depth_in_code = 0

    def describe(self, value: Any) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, PLAIN):
            return self._describe_plain(value)
        if isinstance(value, Path):
            return self._describe_plain(str(value))
        if isinstance(value, np.ndarray):
            return ("array", hash_array(value))
        if scipy.sparse.issparse(value):
            rows = value.tocsr()
            return ("sparse", value.shape, *map(hash_array, (rows.data, rows.indices, rows.indptr)))
        if isinstance(value, type):
            return self._describe_class(value)
        if isinstance(value, ModuleType):
            return self._describe_module(value)
        if isinstance(value, FunctionType):
            if not self._depth_in_code:
                _refuse_unnamed(value)
            return self._describe_function(value)
        if isinstance(value, BuiltinFunctionType | np.ufunc):
            owner = getattr(value, "__self__", None)
            return ("builtin", value.__name__, None if owner is None else self.describe(owner))
        if isinstance(value, MethodType):
            return ("method", self.describe(value.__self__), value.__name__)
        return self._once(value, self._describe_compound)

    def _describe_plain(self, value: Any) -> Any:
        if isinstance(value, str) and os.path.isfile(value):
            return ("file", value, _hash_file(value, os.stat(value).st_mtime_ns))
        return (type(value).__name__, repr(value))

    def _once(self, value: Any, describe: Callable[[Any], Any]) -> str:
        """Describe what many may refer to, or itself, once."""
        if id(value) in self._known:
            return self._known[id(value)][1]
        if id(value) in self._open:
            return "recursion"
        self._open.add(id(value))
        try:
            found = hash_text(repr(describe(value)))
        finally:
            self._open.discard(id(value))
        self._known[id(value)] = (value, found)
        return found

    def _describe_compound(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return (_name(type(value)), [self.describe(part) for part in value])
        if isinstance(value, set | frozenset):
            return ("set", sorted(repr(self.describe(part)) for part in value))
        if isinstance(value, Mapping):
            pairs = [(self.describe(key), self.describe(part)) for key, part in value.items()]
            return (_name(type(value)), sorted(pairs, key=repr))
        if isinstance(value, functools.partial):
            return ("partial", self.describe([value.func, value.args, value.keywords]))
        if hasattr(value, "get_params"):
            return self._describe_estimator(value)
        return self._describe_instance(value)

    def _describe_estimator(self, estimator: Any) -> Any:
        kind = type(estimator)
        if kind.__module__.startswith("imgfeat.") and find_learner(estimator) is None:
            return ("stateless", fingerprint(estimator))
        # Such as a FrozenEstimator: what it has learnt stays.
        clones = getattr(kind, "__sklearn_clone__", BaseEstimator.__sklearn_clone__)
        if clones is not BaseEstimator.__sklearn_clone__:
            return (self._describe_class(kind), _hash_pickle(vars(estimator)))
        parameters = estimator.get_params(deep=False)
        kept = {name: part for name, part in parameters.items() if name not in SPEED}
        output = getattr(estimator, "_sklearn_output_config", {})
        routing = getattr(estimator, "_metadata_request", None)
        return (
            self._describe_class(kind),
            self._describe_members(kept),
            sorted(output.items()),
            repr(routing),
        )

    def _describe_instance(self, value: Any) -> Any:
        if value is check_random_state(None):  # NumPy's own, which distributions of scipy share
            return "global random state"
        if hasattr(value, "detach") and hasattr(value, "numpy"):  # a tensor
            return ("tensor", str(value.dtype), hash_array(value.detach().cpu().float().numpy()))
        if hasattr(value, "__wrapped__"):  # such as a cache, or a compiler, around a function
            return (_name(type(value)), self.describe(value.__wrapped__))
        # What pickle would keep, but for functions, which it knows by their names alone.
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:  # its class decides how it fails
            raise UnidentifiedError(
                f"{type(value).__name__} has no content to compare, since it cannot be pickled"
            ) from error
        if isinstance(reduced, str):
            return (self._describe_class(type(value)), reduced)
        parts = [list(part) if isinstance(part, Iterator) else part for part in reduced]
        return (self._describe_class(type(value)), self.describe(parts))

    def _describe_members(self, members: Mapping[str, Any]) -> Any:
        return [(name, self.describe(part)) for name, part in sorted(members.items())]

    def _describe_module(self, module: ModuleType) -> Any:
        installed = _find_installed(module.__name__)
        if installed is not None:
            return (module.__name__, installed)
        path = getattr(module, "__file__", None)
        return (module.__name__, _hash_file(path, os.stat(path).st_mtime_ns) if path else "")

    def _describe_class(self, kind: type) -> Any:
        bases = [(_name(base), self._describe_own_members(base)) for base in kind.__mro__]
        return (_name(kind), bases)

    def _describe_own_members(self, kind: type) -> Any:
        installed = _find_installed(kind.__module__)
        if installed is not None:
            return installed
        return self._once(kind, self._describe_own_code)

    def _describe_own_code(self, kind: type) -> Any:
        members = {name: part for name, part in vars(kind).items() if name not in BOOKKEEPING}
        functions = [code for part in members.values() for code in _list_codes(part)]
        changed = {name for function in functions for name in _list_changed(function.__code__)}
        return [
            (name, self._describe_member(part))
            for name, part in sorted(members.items())
            if name not in changed
        ]

    def _describe_member(self, member: Any) -> Any:
        codes = _list_codes(member)
        if codes:
            return [self._describe_function(function) for function in codes]
        self._depth_in_code += 1
        try:
            return self.describe(member)
        except UnidentifiedError:  # such as a lock, which decides nothing
            return _name(type(member))
        finally:
            self._depth_in_code -= 1

    def _describe_function(self, function: Any) -> Any:
        function = inspect.unwrap(function) if _is_wrapped_by_library(function) else function
        module = getattr(function, "__module__", None) or "builtins"
        installed = _find_installed(module)
        if installed is not None:
            return ("function", _name(function), installed)
        return self._once(function, self._describe_own_function)

    def _describe_own_function(self, function: FunctionType) -> Any:
        cells = [_read_cell(cell) for cell in function.__closure__ or ()]
        return (
            "function",
            _describe_code(function.__code__),
            [self._describe_member(part) for part in cells],
            [self._describe_member(part) for part in function.__defaults__ or ()],
            [(k, self._describe_member(v)) for k, v in (function.__kwdefaults__ or {}).items()],
            self._describe_globals(function),
        )

    def _describe_globals(self, function: FunctionType) -> Any:
        known = function.__globals__
        names = sorted(_list_globals(function.__code__) & known.keys())
        return [(name, self._describe_member(known[name])) for name in names]


def _refuse_unnamed(function: Any) -> None:
    """Refuse functions that no name leads to: another may bear the same."""
    name = getattr(function, "__qualname__", function.__name__)
    cells = getattr(function, "__closure__", None) or ()
    if "<lambda>" in name or (cells and "<locals>" in name):
        kind = "a lambda" if "<lambda>" in name else "a closure"
        raise UnidentifiedError(f"{name} is {kind}, which another process cannot tell from others")


def _list_codes(member: Any) -> list[FunctionType]:
    """Return the functions that a member of a class runs."""
    if isinstance(member, property):
        parts = [member.fget, member.fset, member.fdel]
    elif isinstance(member, functools.cached_property):
        parts = [member.func]
    else:
        parts = [getattr(member, "__func__", member)]
    return [part for part in parts if isinstance(part, FunctionType)]


def _is_wrapped_by_library(function: Any) -> bool:
    """Tell whether a package put a function around a user's, as scikit-learn does for frames."""
    code = getattr(function, "__code__", None)
    return (
        code is not None
        and hasattr(function, "__wrapped__")
        and _is_installed_path(code.co_filename)
    )


def _read_cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty yet
        return None


def _describe_code(code: CodeType) -> Any:
    """Return what code does, wherever it stands."""
    constants = [
        _describe_code(constant) if isinstance(constant, CodeType) else repr(constant)
        for constant in code.co_consts
    ]
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    return (code.co_code, constants, names, code.co_flags, code.co_exceptiontable)


def _list_instructions(code: CodeType) -> Iterator[tuple[dis.Instruction, dis.Instruction | None]]:
    """Yield each instruction with the next, also of functions within functions."""
    instructions = list(dis.get_instructions(code))
    yield from zip_longest(instructions, instructions[1:])
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _list_instructions(constant)


def _list_globals(code: CodeType) -> set[str]:
    """Return the global names that code reads, without those that it changes."""
    loads = ("LOAD_GLOBAL", "LOAD_NAME")
    read = {one.argval for one, _ in _list_instructions(code) if one.opname in loads}
    return read - _list_changed(code)


def _list_changed(code: CodeType) -> set[str]:
    """Return the globals and attributes that code assigns or fills: state, not settings."""
    return {
        one.argval
        for one, following in _list_instructions(code)
        if one.opname in ("STORE_GLOBAL", "STORE_ATTR")
        or (one.opname.startswith("LOAD_") and following is not None and following.argval in FILLS)
    }


def _find_installed(module: str) -> str | None:
    """Return the version of the package that a module is of; None if it is a user's own."""
    top = module.split(".")[0]
    package = sys.modules.get(top)
    if top == "__main__":
        return None
    paths = [getattr(part, "__file__", None) for part in (package, sys.modules.get(module))]
    path = next((path for path in paths if path is not None), None)
    if path is None:
        return PYTHON if top in sys.stdlib_module_names else None
    if top == "imgfeat" or _is_installed_path(path):
        return f"{top} {getattr(package, '__version__', '')}"
    return PYTHON if Path(path).is_relative_to(sysconfig.get_path("stdlib")) else None


def _is_installed_path(path: str) -> bool:
    parts = Path(path).parts
    return "site-packages" in parts or "dist-packages" in parts


@functools.lru_cache(maxsize=64)
def _hash_file(path: str, mtime_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _hash_pickle(value: Any) -> str:
    try:
        return joblib.hash(value)
    except Exception as error:  # its class decides how it fails
        raise UnidentifiedError(f"{type(value).__name__} has no content to compare") from error


def _name(kind: Any) -> str:
    return f"{kind.__module__}.{getattr(kind, '__qualname__', kind.__name__)}"
