"""Digests of the inputs of a search that are equal in all processes."""

import inspect
import os
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from imgfeat._compat.sklearn import get_metadata_request, get_output_config
from imgfeat._protocols import Estimator
from imgfeat.caching.code import Code, read_code
from imgfeat.caching.content import CannotIdentifyError, Digester, join_parts
from imgfeat.caching.fingerprints import EstimatorDigester


def digest(value: Any) -> str:
    """Return a digest of an object that is equal in every process.

    Parameters
    ----------
    value : object
        See `imgfeat.caching.content.digest_value`. For estimators, the digest covers the class and
        the parameters. NumPy scalars are equal to Python numbers of the same value, and the order
        of dicts is ignored. For functions and classes, it covers the code, except variables that
        the code changes itself and the content of files that it names.

    Returns
    -------
    digest : str
        32 hexadecimal digits.

    Raises
    ------
    CannotIdentifyError
        If there is no such digest: for lambdas, closures, and objects that cannot be pickled.

    Examples
    --------
    >>> from sklearn.svm import SVC
    >>> from imgfeat.tuning.study.digests import digest
    >>> digest(SVC()) == digest(SVC(C=1.0, cache_size=500)), digest(SVC()) == digest(SVC(C=2.0))
    (True, False)
    """
    return _Estimators(_Values()).digest(value).hex()


class _Estimators(EstimatorDigester):
    def digest(self, value: Any, *, by_type: bool = True) -> bytes:
        return super().digest(_simplify(value), by_type=by_type)

    def digest_params(self, estimator: Estimator) -> list[bytes]:
        settings = (
            get_output_config(estimator),
            repr(get_metadata_request(estimator)),
        )
        return [*super().digest_params(estimator), self.digest(settings)]


class _Values(Digester):
    """Raises an error for lambdas and closures, unless they are used inside other code."""

    def __init__(self) -> None:
        super().__init__()
        self._code = _UserCode()

    def digest(self, value: Any, *, by_type: bool = True) -> bytes:
        return super().digest(_simplify(value), by_type=by_type)

    def digest_special(self, value: Any, by_type: bool) -> bytes | None:
        if isinstance(value, FunctionType):
            _refuse_unnamed(value)
        if isinstance(value, FunctionType | type):
            return self._code.digest(value)
        if isinstance(value, MethodType):
            return self.digest_all("method", value.__self__, value.__name__)
        if type(value) is dict:
            items = value.items()
            pairs = [[self.digest(part, by_type=by_type) for part in pair] for pair in items]
            return join_parts("dict", *sorted(join_parts("pair", *pair) for pair in pairs))
        return _digest_shared(value)


class _UserCode(Digester):
    """Leaves out what code may change while it runs: variables, and files such as logs."""

    def digest_special(self, value: Any, by_type: bool) -> bytes | None:
        return _digest_shared(value)

    def digest_texts(self, texts: Iterable[str]) -> bytes:
        return join_parts("texts", *(text.encode(errors="surrogatepass") for text in texts))

    def list_members(self, kind: type) -> dict[str, Any]:
        found = super().list_members(kind)
        functions = [inspect.unwrap(getattr(part, "__func__", part)) for part in found.values()]
        codes = [read_code(part.__code__) for part in functions if isinstance(part, FunctionType)]
        state = {n for n, part in found.items() if any(_is_state(n, part, c) for c in codes)}
        return {name: part for name, part in found.items() if name not in state}

    def list_globals(self, code: Code, names: Mapping[str, Any]) -> list[str]:
        found = super().list_globals(code, names)
        return [name for name in found if not _is_state(name, names[name], code)]

    def digest_reduced(self, value: Any) -> bytes:
        try:
            return super().digest_reduced(value)
        except CannotIdentifyError:  # such as a lock, which does not change results
            return self.digest_all("unknown", type(value))


def _is_state(name: str, value: Any, code: Code) -> bool:
    if isinstance(value, ModuleType | type) or hasattr(value, "__get__"):
        return False
    return name in code.assigned or (name in code.filled and isinstance(value, list | dict | set))


def _digest_shared(value: Any) -> bytes | None:
    """Identify NumPy's global random state, which is shared and whose content changes."""
    return join_parts("global random state") if value is check_random_state(None) else None


def _simplify(value: Any) -> Any:
    """Convert NumPy scalars to Python objects, and paths to strings."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufcSU":
        return value.item()
    return os.fspath(value) if isinstance(value, PurePath) else value


def _refuse_unnamed(function: FunctionType) -> None:
    """Raise CannotIdentifyError for lambdas and closures, whose names are not unique."""
    name = function.__qualname__
    if "<lambda>" in name or (function.__closure__ and "<locals>" in name):
        kind = "a lambda" if "<lambda>" in name else "a closure"
        raise CannotIdentifyError(
            f"{name} is {kind}, which cannot be identified in another process"
        )
