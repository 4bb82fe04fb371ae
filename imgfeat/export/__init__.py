"""Export of fitted pipelines to ONNX files, from pixels to probabilities, and their loading.

Names are imported when they are first used: `load_onnx` needs neither scikit-learn nor skl2onnx.
"""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.export.converters.registry import register_converters
    from imgfeat.export.errors import ExportError
    from imgfeat.export.exporter import to_onnx
    from imgfeat.export.runtime import OnnxPipeline, load_onnx
    from imgfeat.export.verification.certificate import Certificate

__all__ = [
    "Certificate",
    "ExportError",
    "OnnxPipeline",
    "load_onnx",
    "register_converters",
    "to_onnx",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Certificate": ".verification.certificate",
        "ExportError": ".errors",
        "OnnxPipeline": ".runtime",
        "load_onnx": ".runtime",
        "register_converters": ".converters.registry",
        "to_onnx": ".exporter",
    },
)
