"""ONNX Runtime, told what to run on and with how many threads, and held to it."""

import functools
from collections.abc import Sequence
from typing import Any

from imgfeat._optional import import_optional

QUIET = 3
CPU = "CPUExecutionProvider"


class SessionError(ValueError):
    """A graph that ONNX Runtime cannot load, or a provider that is not there."""


def start_session(
    model: bytes,
    providers: Sequence[str | tuple[str, dict[str, Any]]] = (CPU,),
    n_threads: int = 1,
    *,
    extra: str = "deep",
    max_memory: int | None = None,
) -> Any:
    """Open a session on the providers asked for, and on no others.

    Parameters
    ----------
    model : bytes
    providers : sequence of str or (str, dict), default=("CPUExecutionProvider",)
        ONNX Runtime's names, in order of preference; a dict holds a provider's settings.
    n_threads : int, default=1
        For the work within an operator; onnxruntime heeds no environment variable.
    extra : str, default="deep"
        The extra that brings onnxruntime.
    max_memory : int, default=None
        Bytes that all sessions of this process together may take that have such a limit, the first
        one's; beyond it a run fails. None is no limit.

    Raises
    ------
    SessionError
        If a provider is not to be had, or the model is damaged.
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
    # Processors without VNNI add products of bytes in 16 bits, which overflow: exact, if slower.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if max_memory is not None:
        _limit_memory(ort, max_memory)
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        session = ort.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # onnxruntime raises a class for each of its codes
        cause = " ".join(str(error).split())[:300]
        raise SessionError(f"onnxruntime cannot load this graph: {cause}") from error
    lost = [name for name in names if name not in session.get_providers()]
    if lost:
        raise SessionError(
            f"onnxruntime fell back to {', '.join(session.get_providers())} and left out "
            f"{', '.join(lost)}."
        )
    return session


@functools.cache
def _limit_memory(ort: Any, max_memory: int) -> None:
    """Share one arena of limited size; ONNX Runtime has no limit for a session by itself."""
    kind, place = ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, ort.OrtMemType.DEFAULT
    settings = ort.OrtArenaCfg({"max_mem": max_memory})
    ort.create_and_register_allocator(ort.OrtMemoryInfo("Cpu", kind, 0, place), settings)
