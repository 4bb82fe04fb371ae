"""The classes that skl2onnx hands to converters and parsers, for type hints."""

from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common._topology import Operator, Scope, Variable

__all__ = ["ModelComponentContainer", "Operator", "Scope", "Variable"]
