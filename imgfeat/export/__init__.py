"""Fitted pipelines as ONNX files, from pixels to probabilities.

Names load when first used: `load_onnx` needs neither scikit-learn nor skl2onnx.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgfeat.export.certificate import Certificate
    from imgfeat.export.errors import ExportError
    from imgfeat.export.exporter import to_onnx
    from imgfeat.export.registry import register_converters
    from imgfeat.export.runtime import OnnxPipeline, load_onnx

_HOMES = {
    "Certificate": "certificate",
    "ExportError": "errors",
    "OnnxPipeline": "runtime",
    "load_onnx": "runtime",
    "register_converters": "registry",
    "to_onnx": "exporter",
}

__all__ = [
    "Certificate",
    "ExportError",
    "OnnxPipeline",
    "load_onnx",
    "register_converters",
    "to_onnx",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
