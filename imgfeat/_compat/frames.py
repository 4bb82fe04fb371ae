"""How scikit-learn makes frames of a transformer's output."""

from collections.abc import Callable
from typing import Any

from sklearn.utils._set_output import ADAPTERS_MANAGER, PandasAdapter


def keep_index_of(find_index: Callable[[Any], Any]) -> None:
    """Let scikit-learn's frames have the index of arrays that know one.

    scikit-learn gives a frame the index of the transformer's input where that is a frame itself.
    Nothing changes for any other input.

    Parameters
    ----------
    find_index : callable
        Returns the index of a transformer's input, or None.
    """

    class IndexKeepingAdapter(PandasAdapter):
        def create_container(
            self, X_output: Any, X_original: Any, columns: Any, inplace: bool = True
        ) -> Any:
            made = hasattr(X_output, "iloc")
            frame = super().create_container(X_output, X_original, columns, inplace)
            if not made and not hasattr(X_original, "iloc"):
                index = find_index(X_original)
                if index is not None and len(index) == len(frame):
                    frame.index = index
            return frame

    ADAPTERS_MANAGER.register(IndexKeepingAdapter())
