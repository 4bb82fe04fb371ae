"""Analysis of code objects for cache keys: instructions, constants, names, package versions."""

import dis
import functools
import hashlib
import importlib.util
import struct
import sys
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from imgfeat.caching.file_hashes import hash_file

READS_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
# Methods by which code changes a container, such as a list of calls.
MUTATING_METHODS = frozenset({"append", "extend", "add", "update", "clear", "setdefault", "pop"})
INSTALLED = frozenset({"site-packages", "dist-packages"})
# The version identifies imgfeat's own code, also where it is not in site-packages.
OWN = "imgfeat"


class Code(NamedTuple):
    """All that determines a code object's result, without its name, file and line numbers.

    Attributes
    ----------
    digest : bytes
        Digest of instructions and constants, including those of inner functions.
    texts : tuple of str
        String constants, which may be names of files.
    globals : tuple of str
        Names that the code looks up in its module.
    attributes : frozenset of str
        Names of attributes that the code looks up.
    imports : tuple of str
        Modules that the code imports when it runs.
    assigned : frozenset of str
        Globals and attributes that the code assigns.
    filled : frozenset of str
        Globals and attributes that the code changes if they are containers.
    """

    digest: bytes
    texts: tuple[str, ...]
    globals: tuple[str, ...]
    attributes: frozenset[str]
    imports: tuple[str, ...]
    assigned: frozenset[str]
    filled: frozenset[str]


@functools.lru_cache(maxsize=4096)
def read_code(code: CodeType) -> Code:
    """Return the analysis of a code object and of those inside it."""
    inner = [read_code(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    arguments = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4)
    arguments += bool(code.co_flags & 8)
    parts = [
        code.co_code,
        getattr(code, "co_exceptiontable", b""),
        repr((code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)).encode(),
        repr((code.co_flags, code.co_names, code.co_varnames[:arguments])).encode(),
        repr((code.co_freevars, code.co_cellvars)).encode(),
        repr([_name_constant(constant) for constant in code.co_consts]).encode(),
        repr(sys.version_info[:2]).encode(),
        *(part.digest for part in inner),
    ]
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(struct.pack("<q", len(part)) + part)
    instructions = list(dis.get_instructions(code))
    reads = {i.argval for i in instructions if i.opname in READS_GLOBAL}
    imports = {i.argval for i in instructions if i.opname == "IMPORT_NAME"}
    assigned = {i.argval for i in instructions if i.opname in ("STORE_GLOBAL", "STORE_ATTR")}
    pairs = pairwise(instructions)
    filled = {
        i.argval for i, after in pairs if "LOAD" in i.opname and after.argval in MUTATING_METHODS
    }
    return Code(
        digest=digest.digest(),
        texts=(
            *(constant for constant in code.co_consts if isinstance(constant, str)),
            *(text for part in inner for text in part.texts),
        ),
        globals=tuple(sorted(reads.union(*(part.globals for part in inner)))),
        attributes=frozenset(code.co_names).union(*(part.attributes for part in inner)),
        imports=tuple(sorted(imports.union(*(part.imports for part in inner)))),
        assigned=frozenset(assigned).union(*(part.assigned for part in inner)),
        filled=frozenset(filled).union(*(part.filled for part in inner)),
    )


@functools.lru_cache(maxsize=4096)
def find_version(module: str) -> str | None:
    """Return the version of an installed package, or None for other code, which may change.

    Parameters
    ----------
    module : str
        A module of the package, such as ``sklearn.svm``.
    """
    top = (module or "").partition(".")[0]
    if top == OWN:
        return sys.modules[OWN].__version__
    if top in sys.stdlib_module_names:
        return sys.version.partition(" ")[0]
    file = _find_file(top)
    if file is None or not INSTALLED & set(Path(file).parts):
        return None
    found = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(found, str):
        return found
    try:
        return version(top)
    except PackageNotFoundError:
        return hash_file(file)


def _find_file(top: str) -> str | None:
    if top in sys.modules:
        return getattr(sys.modules[top], "__file__", None)
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    return None if spec is None else spec.origin


def _name_constant(constant: Any) -> str:
    """Return a text for a constant that, unlike `repr` for sets, is the same in every process."""
    if isinstance(constant, CodeType):
        return "code"
    if isinstance(constant, frozenset):
        return f"frozenset({sorted(map(_name_constant, constant))})"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_name_constant, constant))})"
    return f"{type(constant).__name__} {constant!r}"
