"""Methods of exported pipelines that exist only if the graph has the output that they return."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgfeat.export.runtime import OnnxPipeline

Method = Callable[..., Any]


def available_if_output(output: str) -> Callable[[Method], Any]:
    """Decorate a method of OnnxPipeline: AttributeError if the graph lacks an output.

    It does what `sklearn.utils.metaestimators.available_if` does, without scikit-learn.

    Parameters
    ----------
    output : str
        Name of the output that the method returns.

    Returns
    -------
    decorator : callable
    """
    return functools.partial(_MethodIfOutput, output)


class _MethodIfOutput:
    """A descriptor that returns the method, if the graph has the output."""

    def __init__(self, output: str, method: Method):
        self.__doc__ = method.__doc__
        self.output, self.method = output, method

    def __get__(self, pipeline: "OnnxPipeline | None", owner: type) -> Method:
        if pipeline is None:
            return self.method
        names = pipeline._open().output_names
        if self.output not in names:
            raise AttributeError(
                f"The graph of {pipeline.path} has no output {self.output!r}, only "
                f"{' and '.join(names)}."
            )
        return self.method.__get__(pipeline, owner)
