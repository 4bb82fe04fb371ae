"""Arrays of images that keep the index of the frame they were read from."""

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Self, Union

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imgfeat._compat.frames import keep_index_of
from imgfeat._optional import import_optional

if TYPE_CHECKING:
    import polars

# Not by `|`, which no string has at run time: polars is optional.
Frame = Union[pd.DataFrame, "polars.DataFrame"]
Rows = NDArray[Any] | Frame


class IndexedImages(np.ndarray):
    """An array with the index of the frame that its rows come from.

    Images are not returned as frames, but the features computed from them are, with this index.
    Slicing rows, reshaping within rows, elementwise computations, copying and pickling keep the
    index; all other operations return an array without it. In-place operations keep it.

    Attributes
    ----------
    row_index : pandas.Index or None
    """

    row_index: pd.Index | None = None

    def __array_finalize__(self, source: object) -> None:
        # Not inherited: the result may have other rows, or rows along another axis.
        self.row_index = None

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if not isinstance(part, np.ndarray):
            return part
        index = self.row_index
        if index is not None and _cuts_rows(key, self.ndim):
            rows = key[0] if isinstance(key, tuple) else key
            return attach_index(part, index if rows is ... else index[np.arange(len(self))[rows]])
        return part.view(np.ndarray)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        plain = [_strip(value) for value in inputs]
        if out is not None:
            options["out"] = tuple(_strip(value) for value in out)
        result = getattr(ufunc, method)(*plain, **options)
        by_row = (method == "__call__" and ufunc.signature is None) or (
            method == "reduce" and _keeps_rows(options.get("axis", 0), self.ndim)
        )
        if out is not None and len(out) == 1:
            return out[0]
        known = [value for value in inputs if getattr(value, "row_index", None) is not None]
        if not (by_row and known and isinstance(result, np.ndarray)):
            return result
        index = known[0].row_index
        alike = all(value.row_index.equals(index) for value in known[1:])
        if alike and known[0].ndim == max(np.ndim(value) for value in inputs):
            return attach_index(result, index)
        return result

    def reshape(self, *shape: Any, **options: Any) -> Any:
        """Return another shape, with the index if the number of rows is the same."""
        return attach_index(super().reshape(*shape, **options), self.row_index)

    def astype(self, *arguments: Any, **options: Any) -> Any:
        """Return another dtype, with the index."""
        return attach_index(super().astype(*arguments, **options), self.row_index)

    def copy(self, order: Literal["K", "A", "C", "F"] | None = "C") -> Any:
        """Return a copy, with the index."""
        return attach_index(super().copy(order), self.row_index)

    __copy__ = copy

    def __deepcopy__(self, memo: object) -> Any:
        return self.copy()

    def __reduce__(self) -> Any:
        return attach_index, (self.view(np.ndarray), self.row_index)

    def __reduce_ex__(self, protocol: object) -> Any:
        return self.__reduce__()

    @property  # type: ignore[misc]
    def strides(self) -> Any:
        """Return the strides, in a class that makes joblib's hash of the array cover the index."""
        return _Strides.of(super().strides, self.row_index)


class _Strides(tuple[int, ...]):
    """A tuple whose pickle, and so joblib's hash of the array, includes the index."""

    row_index: pd.Index | None

    @classmethod
    def of(cls, strides: tuple[int, ...], row_index: pd.Index | None) -> Self:
        made = cls(strides)
        made.row_index = row_index
        return made

    def __reduce__(self) -> Any:
        return _Strides.of, (tuple(self), self.row_index)


def find_index(X: object) -> pd.Index | None:
    """Return the index of a pandas object or of images read from one; None if it is the default."""
    index = X.index if isinstance(X, pd.DataFrame | pd.Series) else getattr(X, "row_index", None)
    if isinstance(index, pd.RangeIndex) and index.equals(pd.RangeIndex(len(index))):
        return None
    return index


def attach_index(images: NDArray[Any], index: pd.Index | None) -> Any:
    """Return an array with an index, or a plain array if the index is None or does not fit."""
    if index is None or images.ndim == 0 or len(images) != len(index):
        return _strip(images)
    known = images.view(IndexedImages)
    known.row_index = index
    return known


def concatenate_frames(frames: Sequence[Frame], index: pd.Index | None) -> Frame:
    """Concatenate the rows of several pandas or polars frames."""
    if not isinstance(frames[0], pd.DataFrame):
        return import_optional("polars").concat(frames)
    whole = frames[0] if len(frames) == 1 else pd.concat(frames)
    return whole.set_axis(pd.RangeIndex(len(whole)) if index is None else index, axis=0)


def refill_frame(pattern: Frame, values: NDArray[Any]) -> Frame:
    """Return a frame of `values` with the library, columns and dtypes of `pattern`."""
    if not isinstance(pattern, pd.DataFrame):
        return import_optional("polars").DataFrame(values, schema=pattern.schema, orient="row")
    frame = pd.DataFrame(values)
    kinds = set(pattern.dtypes)
    frame = frame.astype(kinds.pop() if len(kinds) == 1 else dict(enumerate(pattern.dtypes)))
    return frame.set_axis(pattern.columns, axis=1)


def _strip(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, IndexedImages) else value


def _cuts_rows(key: Any, ndim: int) -> bool:
    """Return whether a key selects whole rows, or the same part of each row."""
    first, *others = key if isinstance(key, tuple) else (key,)
    if any(k is not None and k is not ... and not isinstance(k, slice | Integral) for k in others):
        return False
    if first is ...:
        return sum(k is not None and k is not ... for k in others) < ndim
    return isinstance(first, slice) or (
        isinstance(first, list | np.ndarray) and np.ndim(first) <= 1
    )


def _keeps_rows(axis: int | tuple[int, ...] | None, ndim: int) -> bool:
    axes = (axis,) if isinstance(axis, int) else axis
    return axes is not None and all(number % ndim != 0 for number in axes)


# At import, so that it also runs in worker processes, where unpickling imports this module.
keep_index_of(find_index)
