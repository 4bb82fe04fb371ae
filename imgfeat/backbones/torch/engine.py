"""Networks run in torch: on a GPU, with transfers overlapping computation, or on the CPU."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imgfeat._optional import import_optional
from imgfeat.backbones.backbone import Backbone
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.onnx.graph import PrePostProcessing
from imgfeat.backbones.torch.extractor import build_extractor, build_taps

if TYPE_CHECKING:
    import torch

N_SLOTS = 2

_threads_lock = threading.Lock()


class TorchEngine:
    """Runs an extractor over any number of images, in batches of constant size.

    Parameters
    ----------
    backbone : Backbone
    processing : PrePostProcessing
    device : str
        "cpu", "cuda" or "cuda:N".
    precision : {"fp32", "bf16", "fp16"}
        Precision of the network; pooling is always float32.
    n_threads : int
        Number of threads on the CPU.
    batch_size : int
        Images at a time; the last batch is padded.
    compile : bool
        Compile the network with torch.compile.

    Raises
    ------
    BackboneError
        If there is no such GPU, or the network cannot be compiled.
    """

    def __init__(
        self,
        backbone: Backbone,
        processing: PrePostProcessing,
        device: str,
        precision: str,
        n_threads: int,
        batch_size: int,
        compile: bool = False,
    ):
        torch = import_optional("torch")
        self.device = torch.device(device)
        self.dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
        self.n_threads = n_threads
        self.batch_size = batch_size
        self.processing = processing
        # Forward hooks are registered on the network, which one thread at a time may therefore run.
        self._lock = threading.Lock()
        taps = self._export(build_taps(backbone, processing.layers), backbone) if compile else None
        extractor = build_extractor(backbone, processing, taps)
        self.extractor = extractor.to(self.device, memory_format=torch.channels_last)
        if compile:
            self.extractor = torch.compile(self.extractor)

    def run(
        self,
        images: NDArray[np.uint8],
        out: NDArray[np.float32],
        report: Callable[[int], object] = lambda n: None,
    ) -> None:
        """Fill `out` (n, d) with the features of `images` (n, h, w, c); see `OnnxEngine.run`."""
        torch = import_optional("torch")
        run = self._run_on_gpu if self.device.type == "cuda" else self._run_on_cpu
        try:
            with self._lock, torch.inference_mode(), self._autocast():
                run(images, out, report)
        except torch.OutOfMemoryError as error:
            raise BackboneError(
                f"{self.device} has too little memory for batches of {self.batch_size} images. "
                "Give a smaller batch_size."
            ) from error

    def _run_on_cpu(
        self, images: NDArray[np.uint8], out: NDArray[np.float32], report: Callable[[int], object]
    ) -> None:
        torch = import_optional("torch")
        staged = np.empty((self.batch_size, *self.processing.input_shape), np.uint8)
        with _limit_threads(self.n_threads):
            for start in range(0, len(images), self.batch_size):
                n = _fill(staged, images[start : start + self.batch_size])
                out[start : start + n] = self.extractor(torch.from_numpy(staged))[:n].numpy()
                report(n)

    def _run_on_gpu(
        self, images: NDArray[np.uint8], out: NDArray[np.float32], report: Callable[[int], object]
    ) -> None:
        """Upload a batch while the previous one is computed and the one before is downloaded."""
        torch = import_optional("torch")
        upload = torch.cuda.Stream(self.device)
        compute = torch.cuda.current_stream(self.device)
        slots = [_Slot(self, out.shape[1]) for _ in range(N_SLOTS)]
        waiting: list[tuple[_Slot, int, int]] = []
        for k, start in enumerate(range(0, len(images), self.batch_size)):
            if len(waiting) == N_SLOTS:
                _collect(*waiting.pop(0), out, report)
            slot = slots[k % N_SLOTS]
            n = _fill(slot.host_images.numpy(), images[start : start + self.batch_size])
            with torch.cuda.stream(upload):
                slot.images.copy_(slot.host_images, non_blocking=True)
                slot.uploaded.record(upload)
            compute.wait_event(slot.uploaded)
            slot.host_features.copy_(self.extractor(slot.images), non_blocking=True)
            slot.done.record(compute)
            waiting.append((slot, start, n))
        for entry in waiting:
            _collect(*entry, out, report)

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        torch = import_optional("torch")
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def _export(self, taps: "torch.nn.Module", backbone: Backbone) -> "torch.nn.Module":
        """Export the network with hooks as one graph, which torch.compile compiles as a whole."""
        torch = import_optional("torch")
        pixels = torch.zeros(2, backbone.n_channels, *self.processing.image_size)
        shapes = ({0: torch.export.Dim("n")},)
        try:
            return torch.export.export(taps, (pixels,), dynamic_shapes=shapes).module()
        except Exception as error:  # passes of torch's exporter raise many classes
            raise BackboneError(
                f"{backbone.name} cannot be compiled ({' '.join(str(error).split())[:200]}). Use "
                "compile=False."
            ) from error


class _Slot:
    """Buffers for one batch on its way to the GPU and back."""

    def __init__(self, engine: TorchEngine, n_features: int):
        torch = import_optional("torch")
        shape = (engine.batch_size, *engine.processing.input_shape)
        self.host_images = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        self.images = torch.empty(shape, dtype=torch.uint8, device=engine.device)
        self.host_features = torch.empty((engine.batch_size, n_features), pin_memory=True)
        self.uploaded, self.done = torch.cuda.Event(), torch.cuda.Event()


def _collect(
    slot: _Slot,
    start: int,
    n: int,
    out: NDArray[np.float32],
    report: Callable[[int], object],
) -> None:
    slot.done.synchronize()
    out[start : start + n] = slot.host_features[:n].numpy()
    report(n)


def _fill(staged: NDArray[np.uint8], batch: NDArray[np.uint8]) -> int:
    """Copy a batch into a buffer and repeat its last image to the end; return its length."""
    n = len(batch)
    staged[:n] = batch
    staged[n:] = batch[-1]
    return n


@contextlib.contextmanager
def _limit_threads(n_threads: int) -> Iterator[None]:
    torch = import_optional("torch")
    # The number of threads is a setting of the whole process.
    with _threads_lock:
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)
