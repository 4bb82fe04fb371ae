"""Protocols for objects of other libraries: estimators and ONNX Runtime sessions, for type hints.

scikit-learn, LightGBM, XGBoost and onnxruntime ship no type information. `X` and `y` stay ``Any``:
an estimator may take arrays, frames, sparse matrices, lists of paths or images.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self

from numpy.typing import NDArray


class Estimator(Protocol):
    """An estimator as in scikit-learn: it can be fitted, and `clone` can copy it."""

    def fit(self, X: Any, *args: Any, **kwargs: Any) -> Self:
        """Fit to data; the second argument is usually `y`, keywords such as `sample_weight`."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name."""
        ...

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name."""
        ...


class Transformer(Estimator, Protocol):
    """An estimator that maps each row of its input to a row of features."""

    def transform(self, X: Any) -> Any:
        """Return an array, a frame or a sparse matrix with one row for each row of `X`."""
        ...


class Classifier(Estimator, Protocol):
    """An estimator that predicts labels."""

    @property
    def classes_(self) -> Any:
        """The labels, of shape (n_classes,); a list of arrays for some multilabel classifiers."""
        ...

    def predict(self, X: Any) -> NDArray[Any]:
        """Return labels of shape (n,), or (n, n_labels)."""
        ...


class TensorInfo(Protocol):
    """The name, shape and type of an input or output, as ``onnxruntime.NodeArg``."""

    @property
    def name(self) -> str:
        """The name of the tensor in the graph."""
        ...

    @property
    def shape(self) -> list[int | str | None]:
        """The size of each axis; a name or None where the size may vary."""
        ...

    @property
    def type(self) -> str:
        """The type in ONNX Runtime's notation, such as ``tensor(float)``."""
        ...


class InferenceSession(Protocol):
    """What imgfeat uses of ``onnxruntime.InferenceSession``."""

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: Any = None,
    ) -> list[Any]:
        """Return the outputs with the given names, or all outputs for None."""
        ...

    def get_inputs(self) -> list[TensorInfo]:
        """Return the inputs of the graph."""
        ...

    def get_outputs(self) -> list[TensorInfo]:
        """Return the outputs of the graph."""
        ...

    def get_providers(self) -> list[str]:
        """Return the execution providers in order of preference."""
        ...

    def get_modelmeta(self) -> Any:
        """Return ``onnxruntime.ModelMetadata``: the graph's name, producer and properties."""
        ...
