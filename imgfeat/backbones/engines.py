"""The network that settings stand for, made ready once in a process and shared by all who ask."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.backbones.backbone import load_backbone
from imgfeat.backbones.onnx.export import list_versions, read_metadata
from imgfeat.backbones.onnx.graph import Surroundings
from imgfeat.backbones.onnx.graph_store import (
    fetch_graph,
    hash_calibration,
    identify_network,
    surround,
)
from imgfeat.backbones.onnx.session import OnnxEngine
from imgfeat.backbones.pooling import count_features, name_features
from imgfeat.backbones.settings import Means, Settings, choose_means
from imgfeat.backbones.torch.engine import TorchEngine
from imgfeat.caching.content import CannotIdentifyError

MAX_RUNTIMES = 8

_runtimes: OrderedDict[Any, "Runtime"] = OrderedDict()
_lock = threading.Lock()


class Runtime:
    """A network ready to run on images of one size.

    Attributes
    ----------
    around : Surroundings
    description : dict
        What it is, and how far it was proven.
    n_features : int
    """

    def __init__(self, settings: Settings, means: Means, size: tuple[int, int]):
        self.engine: OnnxEngine | TorchEngine
        if means.engine == "onnx":
            model = fetch_graph(settings, means.precision, size)
            self.engine = OnnxEngine(model, means.device, means.n_threads, means.batch_size)
            self.description = read_metadata(self.engine.session)
            self.around = Surroundings.from_dict(self.description.pop("around"))
        else:
            backbone = load_backbone(settings.backbone, settings.weights, settings.image_size)
            self.around = surround(settings, backbone, size)
            self.engine = TorchEngine(
                backbone,
                self.around,
                means.device,
                means.precision,
                means.n_threads,
                means.batch_size,
                settings.compile,
            )
            self.description = {
                "backbone": backbone.name,
                "precision": means.precision,
                "versions": list_versions(),
            }
        shape = (self.around.layers, self.around.pooling, self.around.grid)
        self.n_features = count_features(*shape)
        self.description |= {
            "engine": means.engine,
            "device": means.device,
            "n_threads": means.n_threads,
            "n_features": self.n_features,
            **self.around.to_dict(),
        }

    def name_features(self) -> list[str]:
        """Return the names of the features."""
        return name_features(self.around.layers, self.around.pooling, self.around.grid)

    def run(
        self,
        images: NDArray[np.uint8],
        out: NDArray[np.float32],
        report: Callable[[int], object] = lambda n: None,
    ) -> None:
        """Fill `out` (n, d) with the features of `images` (n, h, w, c); report progress."""
        self.engine.run(images, out, report)


def get_runtime(settings: Settings, size: tuple[int, int]) -> Runtime:
    """Return the runtime for images of a size, made ready at the first call.

    Parameters
    ----------
    settings : Settings
    size : (int, int)
        Height and width of the images to come.
    """
    means = choose_means(settings)
    try:
        key = (means, size, *_identify(settings))
    except CannotIdentifyError:
        return Runtime(settings, means, size)
    with _lock:
        if key not in _runtimes:
            _runtimes[key] = Runtime(settings, means, size)
            while len(_runtimes) > MAX_RUNTIMES:
                _runtimes.popitem(last=False)
        _runtimes.move_to_end(key)
        return _runtimes[key]


def clear_runtimes() -> None:
    """Forget all networks of this process, which frees their memory."""
    with _lock:
        _runtimes.clear()


def _start_anew_after_fork() -> None:
    """Sessions and locks do not survive a fork; the child makes its own."""
    global _lock
    _lock = threading.Lock()
    _runtimes.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew_after_fork)


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
