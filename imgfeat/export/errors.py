"""The error that is raised if a pipeline cannot be exported."""


class ExportError(ValueError):
    """A step cannot be converted, or the outputs of the graph differ from those of the pipeline."""
