"""Private interface of scikit-learn: DataFrames of the output of transformers."""

from collections.abc import Callable
from typing import Any

from sklearn.utils._set_output import ADAPTERS_MANAGER, PandasAdapter


def keep_index_of(find_index: Callable[[Any], Any]) -> None:
    """Give DataFrames of a transformer's output the index that a function finds for the input.

    scikit-learn itself keeps the index only of an input that is a DataFrame.

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
