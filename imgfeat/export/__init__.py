"""Fitted pipelines as ONNX files, from pixels to probabilities."""

from imgfeat.export.registry import register_converters

__all__ = ["register_converters"]
