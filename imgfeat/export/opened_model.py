"""An exported file whose graph is loaded, and its runs on images."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imgfeat._files import ModelFileError
from imgfeat._protocols import InferenceSession
from imgfeat._sessions import SessionError, start_session
from imgfeat.export.batches import read_batches
from imgfeat.export.checks.metadata import MetadataError, check_interface
from imgfeat.export.model_file import INPUT, check_model

# Bytes that the sessions of all files together may allocate: enough for an image of 90 million
# pixels.
MAX_MEMORY = 2**33

Provider = str | tuple[str, dict[str, Any]]


class OpenedModel(NamedTuple):
    """A file's name, bytes and metadata, and the session that runs its graph."""

    name: str
    model: bytes
    metadata: dict[str, Any]
    session: InferenceSession
    output_names: list[str]

    def run(self, names: Sequence[str], X: Any, batch_size: int) -> dict[str, NDArray[Any]]:
        """Return outputs of the graph for images of any kind.

        Parameters
        ----------
        names : sequence of str
            The outputs to compute.
        X : sequence or array of images
        batch_size : int

        Returns
        -------
        outputs : dict of str to ndarray

        Raises
        ------
        ImageReadError, ValueError
            See `read_batches`.
        ModelFileError
            If the graph fails.
        """
        batches = read_batches(X, self.metadata["input"], batch_size)
        parts = [self._run_batch(names, batch) for batch in batches]
        joined: Iterable[NDArray[Any]] = parts[0]
        if len(parts) > 1:
            joined = map(np.concatenate, zip(*parts, strict=True))
        return dict(zip(names, joined, strict=True))

    def _run_batch(self, names: Sequence[str], batch: NDArray[np.uint8]) -> list[NDArray[Any]]:
        try:
            outputs = self.session.run(names, {INPUT: batch})
        except Exception as error:  # onnxruntime raises a class for each of its codes
            cause = " ".join(str(error).split())[:300]
            raise ModelFileError(f"The graph of {self.name} fails: {cause}") from error
        for output in outputs:
            if np.shape(output)[:1] != batch.shape[:1]:
                raise ModelFileError(
                    f"The graph of {self.name} does not return one row for each image."
                )
        return outputs


def open_model(
    model: bytes, name: str, providers: Sequence[Provider], n_threads: int
) -> OpenedModel:
    """Check that a file is complete, unchanged and harmless, and only then start a session.

    Parameters
    ----------
    model : bytes
        The content of the file.
    name : str
        Its name in error messages.
    providers : sequence of str or (str, dict)
    n_threads : int

    Returns
    -------
    opened : OpenedModel

    Raises
    ------
    ModelFileError
        If the file is refused by `check_model`, or ONNX Runtime cannot load its graph.
    """
    metadata = check_model(model, name)
    try:
        session = start_session(model, providers, n_threads, extra="runtime", max_memory=MAX_MEMORY)
        check_interface(metadata, session, INPUT)
    except (SessionError, MetadataError) as error:
        raise ModelFileError(f"Cannot load model {name}: {error}") from error
    names = [output.name for output in session.get_outputs()]
    return OpenedModel(name, model, metadata, session, names)
