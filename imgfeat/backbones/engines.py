"""Networks prepared to run, cached in each process and shared by all estimators in it."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.backbones.backbone import load_backbone
from imgfeat.backbones.onnx.export import list_versions, read_metadata
from imgfeat.backbones.onnx.graph import PrePostProcessing
from imgfeat.backbones.onnx.graph_store import (
    choose_processing,
    fetch_graph,
    hash_calibration,
    identify_network,
)
from imgfeat.backbones.onnx.session import OnnxEngine
from imgfeat.backbones.pooling import count_features, name_features
from imgfeat.backbones.settings import ExecutionSettings, Settings, choose_execution
from imgfeat.backbones.torch.engine import TorchEngine
from imgfeat.caching.content import CannotIdentifyError

MAX_RUNTIMES = 8

_runtimes: OrderedDict[Any, "NetworkRuntime"] = OrderedDict()
_lock = threading.Lock()


class NetworkRuntime:
    """A network prepared to run on images of one size.

    Attributes
    ----------
    processing : PrePostProcessing
    description : dict
        The network, its layers, engine and precision, and how its graph was verified.
    n_features : int
    """

    def __init__(self, settings: Settings, execution: ExecutionSettings, size: tuple[int, int]):
        self.engine: OnnxEngine | TorchEngine
        if execution.engine == "onnx":
            model = fetch_graph(settings, execution.precision, size)
            self.engine = OnnxEngine(
                model, execution.device, execution.n_threads, execution.batch_size
            )
            self.description = read_metadata(self.engine.session)
            self.processing = PrePostProcessing.from_dict(self.description.pop("around"))
        else:
            backbone = load_backbone(settings.backbone, settings.weights, settings.image_size)
            self.processing = choose_processing(settings, backbone, size)
            self.engine = TorchEngine(
                backbone,
                self.processing,
                execution.device,
                execution.precision,
                execution.n_threads,
                execution.batch_size,
                settings.compile,
            )
            self.description = {
                "backbone": backbone.name,
                "precision": execution.precision,
                "versions": list_versions(),
            }
        shape = (self.processing.layers, self.processing.pooling, self.processing.grid)
        self.n_features = count_features(*shape)
        self.description |= {
            "engine": execution.engine,
            "device": execution.device,
            "n_threads": execution.n_threads,
            "n_features": self.n_features,
            **self.processing.to_dict(),
        }

    def name_features(self) -> list[str]:
        """Return the names of the features."""
        return name_features(self.processing.layers, self.processing.pooling, self.processing.grid)

    def run(
        self,
        images: NDArray[np.uint8],
        out: NDArray[np.float32],
        report: Callable[[int], object] = lambda n: None,
    ) -> None:
        """Fill `out` (n, d) with the features of `images` (n, h, w, c); report progress."""
        self.engine.run(images, out, report)


def get_runtime(settings: Settings, size: tuple[int, int]) -> NetworkRuntime:
    """Return the runtime for images of a size, prepared at the first call.

    Parameters
    ----------
    settings : Settings
    size : (int, int)
        Height and width of the input images.
    """
    execution = choose_execution(settings)
    try:
        key = (execution, size, *_identify(settings))
    except CannotIdentifyError:
        return NetworkRuntime(settings, execution, size)
    with _lock:
        if key not in _runtimes:
            _runtimes[key] = NetworkRuntime(settings, execution, size)
            while len(_runtimes) > MAX_RUNTIMES:
                _runtimes.popitem(last=False)
        _runtimes.move_to_end(key)
        return _runtimes[key]


def clear_runtimes() -> None:
    """Remove all networks from this process's cache, which frees their memory."""
    with _lock:
        _runtimes.clear()


def _reset_after_fork() -> None:
    """Clear the cache in a forked child, since sessions and locks do not survive a fork."""
    global _lock
    _lock = threading.Lock()
    _runtimes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


def _identify(settings: Settings) -> tuple[Any, ...]:
    return (
        identify_network(settings),
        settings.layers,
        settings.pooling,
        settings.grid,
        settings.image_size,
        settings.mean,
        settings.std,
        hash_calibration(settings),
        settings.compile,
        settings.cache_dir,
    )
