"""HOG and LBP on a GPU: their graphs, in ONNX Runtime's CUDA provider.

The graph is verified against the kernel when it is first opened.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._base import ImageTransformer
from imgfeat._protocols import InferenceSession
from imgfeat._sessions import SessionError, start_session
from imgfeat.ops.model import make_model
from imgfeat.ops.nodes import Nodes

DEVICES = ("cpu", "cuda", *(f"cuda:{index}" for index in range(8)))

# Number of images on which a graph is compared with the kernel when it is opened.
N_SAMPLES = 8
MAX_DIFFERENCE = 1e-5

# Parameters that do not change the graph.
_NOT_IN_GRAPH = ("device", "image_shape", "n_jobs")


def is_accelerated(device: str | None) -> bool:
    """Return whether a device is other than the CPU."""
    return device not in (None, "cpu")


def run_graph(
    emit: Callable[..., str],
    transformer: ImageTransformer,
    images: NDArray[Any],
    out: NDArray[np.float32],
) -> None:
    """Fill `out` (n, d) from `images` (n, h, w, c) on the transformer's device.

    Parameters
    ----------
    emit : callable
        Adds the nodes of the transformer to a graph; see `imgfeat.ops.nodes.Emit`.
    transformer : HOG or LBP
    images : ndarray of shape (n, h, w, c), dtype uint8
    out : ndarray of shape (n, d), dtype float32

    Raises
    ------
    ValueError
        If the images are not uint8, or the device is not available.
    MissingExtraError
        If onnxruntime or onnx is not installed.
    """
    call = f"{type(transformer).__name__}(device={transformer.device!r})"
    if images.dtype != np.uint8:
        raise ValueError(
            f"{call} takes uint8 images, got {images.dtype}. Use "
            "np.rint(X * 255).astype(np.uint8), or device=None."
        )
    params = tuple(
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in transformer.get_params().items()
        if name not in _NOT_IN_GRAPH
    )
    try:
        kind: Any = type(transformer)
        session = _open(emit, kind, params, images.shape[1:], transformer.device)
    except SessionError as error:
        raise ValueError(f"{call} cannot run on this machine; use device=None: {error}") from error
    out[:] = session.run(None, {"images": images})[0]


@functools.lru_cache(maxsize=8)
def _open(
    emit: Callable[..., str],
    kind: type,
    params: tuple[tuple[str, object], ...],
    shape: tuple[int, int, int],
    device: str,
) -> InferenceSession:
    transformer = kind(**dict(params))

    def emit_features(nodes: Nodes, images: str) -> str:
        return emit(nodes, transformer, images, shape)

    model = make_model(emit_features, shape, transformer._count_features(*shape[:2]))
    session = start_session(model.SerializeToString(), [_find_provider(device)], extra="export")
    _verify_graph(session, transformer, shape)
    return session


def _verify_graph(
    session: InferenceSession, transformer: ImageTransformer, shape: tuple[int, int, int]
) -> None:
    """Compare graph and kernel on photographs, since rounding differs between devices."""
    from imgfeat.images.samples import sample_images  # which reads photographs

    images = sample_images(N_SAMPLES, shape)
    difference = np.abs(session.run(None, {"images": images})[0] - transformer.transform(images))
    if not difference.max() <= MAX_DIFFERENCE:
        raise SessionError(f"features differ from those of the CPU by {difference.max():.1e}.")


def _find_provider(device: str) -> tuple[str, dict[str, Any]]:
    index = device.partition(":")[2]
    # Exact arithmetic: weights of LBP have more bits than TF32, and convolution algorithms other
    # than the default one transform the values.
    settings = {"device_id": int(index or 0), "use_tf32": 0, "cudnn_conv_algo_search": "DEFAULT"}
    return "CUDAExecutionProvider", settings


# Sessions do not survive a fork, so that a forked child opens new ones.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open.cache_clear)
