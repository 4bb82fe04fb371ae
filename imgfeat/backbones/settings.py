"""Embedding parameters, and the engine, device, precision and threads chosen from them."""

import ctypes
import os
import sys
from dataclasses import dataclass

import joblib
import numpy as np
from joblib.parallel import get_active_backend
from numpy.typing import NDArray

from imgfeat._optional import find_missing, import_optional
from imgfeat.backbones.backbone import BackboneSource
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.onnx.network import is_onnx_file

CPU_BATCH = 2
GPU_BATCH = 256


@dataclass(frozen=True, eq=False)
class Settings:
    """The parameters of an embedding; see `imgfeat.CNNEmbedding`."""

    backbone: BackboneSource
    weights: str | os.PathLike[str] | None
    layers: str | tuple[str, ...]
    pooling: tuple[str, ...]
    grid: int
    image_size: tuple[int, int] | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    engine: str
    device: str
    precision: str
    calibration: NDArray[np.uint8] | None
    batch_size: int | None
    n_threads: int | None
    compile: bool
    cache_dir: str | os.PathLike[str] | None


@dataclass(frozen=True)
class ExecutionSettings:
    """Engine, device, precision, batch size and threads with which an embedding runs.

    Attributes
    ----------
    engine : {"onnx", "torch"}
    device : str
        "cpu", "cuda" or "cuda:N".
    precision : {"fp32", "bf16", "fp16", "int8"}
    batch_size : int
    n_threads : int
    """

    engine: str
    device: str
    precision: str
    batch_size: int
    n_threads: int


def choose_execution(settings: Settings) -> ExecutionSettings:
    """Resolve "auto" for this machine, and refuse settings that it cannot run.

    Raises
    ------
    BackboneError
        If the settings contradict each other, or request a GPU that is not available.
    """
    from_file = is_onnx_file(settings.backbone)
    engine = settings.engine
    if engine == "auto":
        wants_onnx = from_file or settings.precision == "int8" or settings.device == "cpu"
        engine = "onnx" if wants_onnx or not _torch_has_cuda() else "torch"
    if engine == "torch" and from_file:
        raise BackboneError(
            f"engine='torch' cannot run {settings.backbone}; engine='onnx' runs .onnx files."
        )
    device = _choose_device(engine, settings.device)
    precision = _choose_precision(engine, device, settings.precision)
    if settings.compile and engine != "torch":
        raise BackboneError("compile=True uses torch.compile, which needs engine='torch'.")
    return ExecutionSettings(
        engine=engine,
        device=device,
        precision=precision,
        batch_size=settings.batch_size or (CPU_BATCH if device == "cpu" else GPU_BATCH),
        n_threads=choose_threads(settings.n_threads),
    )


def choose_torch_device(device: str, precision: str) -> tuple[str, str]:
    """Resolve "auto" for a network in torch; return the device and the precision.

    Raises
    ------
    BackboneError
        If the device is not available, or does not support the precision.
    """
    device = _choose_device("torch", device)
    return device, _choose_precision("torch", device, precision)


def choose_threads(n_threads: int | None) -> int:
    """Return the number of threads: by default one in joblib's workers, else all cores."""
    if n_threads is not None:
        return n_threads
    backend, _ = get_active_backend()
    return 1 if backend.nesting_level else joblib.cpu_count()


def _choose_device(engine: str, device: str) -> str:
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
        raise BackboneError(f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}.")
    if engine == "onnx":
        if kind != "auto":
            return device
        providers = import_optional("onnxruntime").get_available_providers()
        return "cuda" if "CUDAExecutionProvider" in providers and _has_cuda_driver() else "cpu"
    if kind == "auto":
        return "cuda" if _torch_has_cuda() else "cpu"
    if kind == "cuda":
        torch = import_optional("torch")
        n_cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= n_cards:
            raise BackboneError(
                f"device={device!r} was requested, but torch {torch.__version__} sees {n_cards} "
                "CUDA device(s). Use device='auto' or 'cpu', or install a driver and a build of "
                "torch that fit the card."
            )
    return device


def _choose_precision(engine: str, device: str, precision: str) -> str:
    if precision == "auto":
        if engine == "onnx" or device == "cpu":
            return "fp32"
        return "bf16" if import_optional("torch").cuda.is_bf16_supported() else "fp16"
    if precision == "int8" and (engine != "onnx" or device != "cpu"):
        raise BackboneError("precision='int8' is for engine='onnx' on device='cpu'.")
    if precision in ("bf16", "fp16") and engine == "onnx":
        raise BackboneError(
            f"precision={precision!r} is for engine='torch'; engine='onnx' supports 'fp32' and, on "
            "the CPU, 'int8'."
        )
    if precision == "fp16" and device == "cpu":
        raise BackboneError("precision='fp16' needs a GPU; use 'fp32' or 'bf16' on the CPU.")
    return precision


def _torch_has_cuda() -> bool:
    # Importing torch takes seconds; the check of the driver saves them on machines without a GPU.
    if find_missing("torch") or not _has_cuda_driver():
        return False
    return import_optional("torch").cuda.is_available()


def _has_cuda_driver() -> bool:
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
