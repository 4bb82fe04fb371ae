"""ONNX Runtime sessions with given providers, without fallback, and a given number of threads."""

import functools
from collections.abc import Sequence
from typing import Any

from imgfeat._optional import import_optional
from imgfeat._protocols import InferenceSession

QUIET = 3
CPU = "CPUExecutionProvider"


class SessionError(ValueError):
    """ONNX Runtime cannot load a graph, or a provider is not available."""


def start_session(
    model: bytes,
    providers: Sequence[str | tuple[str, dict[str, Any]]] = (CPU,),
    n_threads: int = 1,
    *,
    extra: str = "deep",
    max_memory: int | None = None,
) -> InferenceSession:
    """Open a session on the given providers, without falling back to others.

    Parameters
    ----------
    model : bytes
    providers : sequence of str or (str, dict), default=("CPUExecutionProvider",)
        ONNX Runtime's names, in order of preference; a dict holds a provider's settings.
    n_threads : int, default=1
        Number of threads within an operator; onnxruntime reads no environment variable.
    extra : str, default="deep"
        The extra that installs onnxruntime.
    max_memory : int, default=None
        Limit in bytes for the memory of all sessions in this process that are opened with a limit;
        the first limit applies to all. Runs that need more fail. None is no limit.

    Raises
    ------
    SessionError
        If a provider is not available, or the model is damaged.
    """
    ort = import_optional("onnxruntime", extra=extra)
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    there = ort.get_available_providers()
    missing = [name for name in names if name not in there]
    if missing or not names:
        remedy = " For a GPU: pip install onnxruntime-gpu" if "CUDA" in "".join(missing) else ""
        raise SessionError(
            f"{', '.join(missing) or 'A provider'} is needed, and this onnxruntime has "
            f"{', '.join(there)}.{remedy}"
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = QUIET
    # Without this, processors without VNNI add products of bytes in 16 bits, which can overflow.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if max_memory is not None:
        _limit_memory(ort, max_memory)
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        session = ort.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # onnxruntime raises a class for each of its codes
        cause = " ".join(str(error).split())[:300]
        raise SessionError(f"onnxruntime cannot load this graph: {cause}") from error
    absent = [name for name in names if name not in session.get_providers()]
    if absent:
        raise SessionError(
            f"onnxruntime fell back to {', '.join(session.get_providers())} without "
            f"{', '.join(absent)}."
        )
    return session


@functools.cache
def _limit_memory(ort: Any, max_memory: int) -> None:
    """Register a shared arena of limited size, since sessions have no limit of their own."""
    kind, place = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    settings = ort.OrtArenaCfg({"max_mem": max_memory})
    ort.create_and_register_allocator(ort.OrtMemoryInfo("Cpu", kind, 0, place), settings)
