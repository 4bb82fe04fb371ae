"""Networks in ONNX Runtime, run in batches of constant shape on several threads."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._protocols import InferenceSession
from imgfeat._sessions import CPU, SessionError, start_session
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.onnx.graph import INPUT, OUTPUT

PROVIDERS = {"cpu": CPU, "cuda": "CUDAExecutionProvider"}


def open_session(model: bytes, device: str = "cpu", n_threads: int = 1) -> InferenceSession:
    """Open a session on the given device, without falling back to another.

    Parameters
    ----------
    model : bytes
    device : {"cpu", "cuda"}, default="cpu"
        "cuda:1" is the second card.
    n_threads : int, default=1
        Number of threads within an operator; onnxruntime reads no environment variable.

    Raises
    ------
    BackboneError
        If the model is damaged, or the device is not available.
    """
    kind, _, index = device.partition(":")
    settings: dict[str, Any] = {"device_id": int(index or 0)} if kind == "cuda" else {}
    try:
        return start_session(model, [(PROVIDERS[kind], settings)], n_threads)
    except SessionError as error:
        raise BackboneError(f"device={device!r} with engine='onnx': {error}") from error


class OnnxEngine:
    """Runs a graph over any number of images, in batches of constant shape.

    On a CPU, threads that run a batch each are faster than threads within an operator; the latter
    are used where there are too few images for the former. Both give the same features.

    Parameters
    ----------
    model : bytes
    device : {"cpu", "cuda", "cuda:N"}
    n_threads : int
    batch_size : int
        Images at a time. On a CPU, the images of an incomplete last batch run one by one, which
        is as fast; on a GPU, or where the graph has a fixed batch size, that batch is padded.
    """

    def __init__(self, model: bytes, device: str = "cpu", n_threads: int = 1, batch_size: int = 4):
        self.n_threads = n_threads if device == "cpu" else 1
        self.session = open_session(model, device)
        fixed = self.session.get_inputs()[0].shape[0]
        self.batch_size = fixed if isinstance(fixed, int) else batch_size
        self.padded = isinstance(fixed, int) or device != "cpu"
        self._model, self._device = model, device

    @functools.cached_property
    def _wide_session(self) -> InferenceSession:
        return open_session(self._model, self._device, self.n_threads)

    def run(
        self,
        images: NDArray[np.uint8],
        out: NDArray[np.float32],
        report: Callable[[int], object] = lambda n: None,
    ) -> None:
        """Fill `out` (n, d) with the features of `images` (n, h, w, c), uint8.

        Parameters
        ----------
        images : ndarray of shape (n, h, w, c), dtype uint8
        out : ndarray of shape (n, d), dtype float32
        report : callable
            Called with the number of images of each batch that is done.
        """
        spans = self._split(len(images))
        wide = self.n_threads > 1 and len(spans) < 2 * self.n_threads
        session = self._wide_session if wide else self.session

        def work(span: slice) -> int:
            batch = images[span]
            n = len(batch)
            if self.padded and n < self.batch_size:
                filler = np.broadcast_to(batch[-1:], (self.batch_size - n, *batch.shape[1:]))
                batch = np.concatenate([batch, filler])
            out[span] = session.run([OUTPUT], {INPUT: np.ascontiguousarray(batch)})[0][:n]
            return n

        if wide or self.n_threads == 1:
            for span in spans:
                report(work(span))
            return
        with ThreadPoolExecutor(self.n_threads) as pool:
            for n in pool.map(work, spans):
                report(n)

    def _split(self, n: int) -> list[slice]:
        n_full = n if self.padded else n // self.batch_size * self.batch_size
        full = [
            slice(k, min(k + self.batch_size, n_full)) for k in range(0, n_full, self.batch_size)
        ]
        return full + [slice(k, k + 1) for k in range(n_full, n)]
