"""Exported pipelines loaded from ONNX files, with the methods of a scikit-learn estimator."""

import os
from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from imgfeat._sessions import CPU
from imgfeat.export.accuracy import Weights, compute_accuracy
from imgfeat.export.available_methods import available_if_output
from imgfeat.export.model_file import read_bytes
from imgfeat.export.opened_model import OpenedModel, Provider, open_model

if TYPE_CHECKING:
    from sklearn.utils import Tags


class OnnxPipeline:
    """A fitted pipeline in an ONNX file that `imgfeat.export.to_onnx` wrote.

    It needs only numpy, Pillow, OpenCV and onnxruntime, neither scikit-learn nor torch. It still
    follows scikit-learn's interface: it can be cloned, pickled, scored and cross-validated. The
    file is read, checked and loaded when it is first used.

    Parameters
    ----------
    path : path-like
        The file.
    n_threads : int, default=1
        Number of threads that ONNX Runtime uses within an operator.
    providers : sequence of str or (str, dict), default=("CPUExecutionProvider",)
        ONNX Runtime's execution providers in order of preference, such as "CUDAExecutionProvider".
        A provider that is not available is an error; there is no silent fallback.
    batch_size : int, default=16
        Number of images that are run at once. Batches that do not fit into the processor's caches
        take more time per image.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The class labels; only for classifiers.
    metadata_ : dict
        The file's metadata: input, preprocessing, steps, classes, versions, and the certificate,
        which holds the result of the comparison with the pipeline.

    Raises
    ------
    ModelFileError
        At first use, if the file does not exist, is damaged or was changed, was not written by
        imgfeat or by a newer version of it, or if a provider is not available.
    ValueError
        At first use, if a parameter is out of range.

    See Also
    --------
    load_onnx : Returns a pipeline whose file is already checked and loaded.
    """

    _estimator_type: str

    def __init__(
        self,
        path: str | os.PathLike[str],
        n_threads: int = 1,
        providers: Sequence[Provider] = (CPU,),
        batch_size: int = 16,
    ):
        self.path = path
        self.n_threads = n_threads
        self.providers = providers
        self.batch_size = batch_size

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Load the file; nothing is fitted, since the pipeline was fitted before its export.

        Parameters
        ----------
        X, y : ignored

        Returns
        -------
        self : object
        """
        self._open()
        return self

    @available_if_output("label")
    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label of each image.

        Parameters
        ----------
        X : sequence of str, path-like, bytes, PIL image or ndarray, or array of images
            As `imgfeat.ImageLoader` takes them. If the pipeline had no ImageLoader in front, an
            array of images of the size that the graph takes.

        Returns
        -------
        labels : ndarray of shape (n,), or (n, n_labels) for a multi-label pipeline

        Raises
        ------
        ImageReadError
            If an image cannot be read; the message names it.
        ValueError
            If images are of another size or number of channels than the graph takes.
        """
        return self._to_labels(self._run(["label"], X)["label"])

    @available_if_output("probabilities")
    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Return the probability of each class or label.

        Parameters
        ----------
        X : sequence or array of images
            As for `predict`.

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes) or (n, n_labels)
        """
        return self._run(["probabilities"], X)["probabilities"]

    @available_if_output("scores")
    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Return decision values, for pipelines that have no probabilities.

        Parameters
        ----------
        X : sequence or array of images
            As for `predict`.

        Returns
        -------
        values : ndarray of shape (n, n_classes), or (n,) for two classes
        """
        return self._run(["scores"], X)["scores"]

    @available_if_output("features")
    def transform(self, X: Any) -> NDArray[np.floating]:
        """Return the features, if the pipeline ends in a transformer.

        Parameters
        ----------
        X : sequence or array of images
            As for `predict`.

        Returns
        -------
        features : ndarray of shape (n, d)
        """
        return self._run(["features"], X)["features"]

    def run(self, X: Any) -> dict[str, NDArray[Any]]:
        """Return all outputs of the graph, computed in one run.

        Parameters
        ----------
        X : sequence or array of images
            As for `predict`.

        Returns
        -------
        outputs : dict of str to ndarray
            "label", and "probabilities" or "scores"; or "features".
        """
        outputs = self._run(self._open().output_names, X)
        if "label" in outputs:
            outputs["label"] = self._to_labels(outputs["label"])
        return outputs

    def score(self, X: Any, y: Any, sample_weight: Weights | None = None) -> float:
        """Return the accuracy: the share of images for which all labels are correct.

        Parameters
        ----------
        X : sequence or array of images
        y : array-like of shape (n,) or (n, n_labels)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        accuracy : float

        Raises
        ------
        ValueError
            If the number of labels and the number of images differ, or `y` holds strings and the
            pipeline predicts numbers, or the reverse.
        """
        return compute_accuracy(y, self.predict(X), sample_weight)

    @property
    def classes_(self) -> NDArray[Any]:
        """The class labels of a classifier."""
        if self.metadata_["classes"] is None:
            raise AttributeError(
                f"The pipeline of {self.path} ends in a transformer: it has no classes."
            )
        return np.array(self.metadata_["classes"], dtype=self.metadata_["classes_dtype"])

    @property
    def metadata_(self) -> dict[str, Any]:
        """The file's metadata."""
        return self._open().metadata

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Ignored: there are no nested estimators.

        Returns
        -------
        params : dict
        """
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **params: Any) -> Self:
        """Set parameters; the file is loaded again at its next use.

        Parameters
        ----------
        **params : object

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If a name is not a parameter.
        """
        for name, value in params.items():
            if name not in _PARAMETERS:
                raise ValueError(
                    f"OnnxPipeline has no parameter {name!r}. Its parameters are "
                    f"{', '.join(_PARAMETERS)}."
                )
            setattr(self, name, value)
        self.__dict__.pop("_opened", None)
        if "path" in params:
            self.__dict__.pop("_model", None)
        return self

    def __repr__(self) -> str:
        return f"OnnxPipeline({os.fspath(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        # The file's bytes are included for processes without access to the file; ONNX Runtime's
        # session cannot be pickled.
        return {**self.get_params(), "_model": self._open().model}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> "Tags":
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags, TransformerTags

        kind = self.metadata_["kind"]
        features = kind == "transformer"
        return Tags(
            estimator_type=None if features else "classifier",
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags() if features else None,
            classifier_tags=None if features else ClassifierTags(multi_label=kind == "multilabel"),
            input_tags=InputTags(one_d_array=True, two_d_array=False, three_d_array=True),
            requires_fit=False,
        )

    def _open(self) -> OpenedModel:
        """Load the file when it is first used."""
        if not hasattr(self, "_opened"):
            for name in ("n_threads", "batch_size"):
                value = getattr(self, name)
                if not isinstance(value, Integral) or value < 1:
                    raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}.")
            if isinstance(self.providers, str):
                raise ValueError(
                    f"providers must be a list such as [{self.providers!r}], got a single str."
                )
            model = self.__dict__.get("_model") or read_bytes(self.path)
            self._opened = open_model(model, os.fspath(self.path), self.providers, self.n_threads)
        return self._opened

    def _run(self, names: Sequence[str], X: Any) -> dict[str, NDArray[Any]]:
        return self._open().run(names, X, self.batch_size)

    def _to_labels(self, labels: NDArray[Any]) -> NDArray[Any]:
        if labels.ndim == 2:
            return labels
        return labels.astype(self.metadata_["classes_dtype"], copy=False)


_PARAMETERS = ("path", "n_threads", "providers", "batch_size")


def load_onnx(
    path: str | os.PathLike[str],
    *,
    n_threads: int = 1,
    providers: Sequence[Provider] = (CPU,),
    batch_size: int = 16,
) -> OnnxPipeline:
    """Load and check a pipeline that `to_onnx` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    n_threads, providers, batch_size
        See `OnnxPipeline`.

    Returns
    -------
    pipeline : OnnxPipeline

    Raises
    ------
    ModelFileError
        If the file does not exist, is damaged or was changed, was not written by imgfeat or by a
        newer version of it, or if a provider is not available.

    Examples
    --------
    >>> import tempfile
    >>> from imgfeat import HOG, ImageLoader
    >>> from imgfeat.datasets import load_textures
    >>> from imgfeat.export import load_onnx, to_onnx
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> train = load_textures("train")
    >>> model = make_pipeline(ImageLoader(32, color="gray"), HOG(), LogisticRegression())
    >>> model = model.fit(train.images, train.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = to_onnx(model, train.images[:32], f"{folder}/model.onnx")
    ...     served = load_onnx(f"{folder}/model.onnx")
    >>> bool((served.predict(train.images) == model.predict(train.images)).all())
    True
    """
    return OnnxPipeline(path, n_threads, providers, batch_size).fit()
