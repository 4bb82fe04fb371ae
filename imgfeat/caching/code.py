"""What the code of a function computes with: instructions, constants, names; and versions."""

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

from imgfeat.caching.files import hash_file

READS_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})
# What code does to a list or dict that it fills, such as one that counts calls.
FILLS = frozenset({"append", "extend", "add", "update", "clear", "setdefault", "pop"})
INSTALLED = frozenset({"site-packages", "dist-packages"})
# Its code changes with its version only, wherever it lies.
OWN = "imgfeat"


class Code(NamedTuple):
    """A function's code, without what does not decide its result: its name, file and lines.

    Attributes
    ----------
    digest : bytes
        Of instructions and constants, those of inner functions included.
    texts : tuple of str
        Constants, which may name files.
    globals : tuple of str
        Names that it looks up in its module.
    attributes : frozenset of str
        Names that it looks up in other things.
    imports : tuple of str
        Modules that it imports when it runs.
    assigned : frozenset of str
        Globals and attributes that it assigns.
    filled : frozenset of str
        Globals and attributes that it fills, if they are containers.
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
    """Return what a code object computes with."""
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
    filled = {i.argval for i, after in pairs if "LOAD" in i.opname and after.argval in FILLS}
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
    """Return the version of an installed package; None for code that may change at any time.

    Parameters
    ----------
    module : str
        A module of it, such as ``sklearn.svm``.
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
    """Name a constant alike in every process, which `repr` does not do for sets."""
    if isinstance(constant, CodeType):
        return "code"
    if isinstance(constant, frozenset):
        return f"frozenset({sorted(map(_name_constant, constant))})"
    if isinstance(constant, tuple):
        return f"({', '.join(map(_name_constant, constant))})"
    return f"{type(constant).__name__} {constant!r}"
