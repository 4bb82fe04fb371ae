"""Why a pipeline does not become an ONNX file."""


class ExportError(ValueError):
    """A step that cannot be converted, or a graph that does not give what the pipeline gives."""
