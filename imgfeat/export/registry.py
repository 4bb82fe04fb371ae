"""Which transformers become nodes, and how: registration with skl2onnx."""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np

from imgfeat._optional import import_optional
from imgfeat.export.nodes import Nodes

# Before, reductions took their axes in another way.
LEAST_OPSET = 18

Shape = tuple[int, ...]
Emit = Callable[[Nodes, Any, str, Shape], str]


@functools.cache
def register_converters() -> None:
    """Make imgfeat's estimators known to ``skl2onnx.to_onnx``.

    For this process, scikit-learn's linear models, kernel machines, trees and ensembles get
    converters of imgfeat's too, which stay exact where skl2onnx's round or fail.

    Raises
    ------
    MissingExtraError
        If skl2onnx is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import skl2onnx
    >>> from skl2onnx.common.data_types import UInt8TensorType
    >>> from imgfeat import ImageLoader
    >>> from imgfeat.export import register_converters
    >>> register_converters()
    >>> images = [("images", UInt8TensorType([None, 16, 16]))]
    >>> model = skl2onnx.to_onnx(ImageLoader(16, color="gray"), initial_types=images)
    >>> model.graph.input[0].name
    'images'
    """
    import_optional("skl2onnx", extra="export")
    from imgfeat.export import converters

    for module in pkgutil.iter_modules(converters.__path__):
        importlib.import_module(f"{converters.__name__}.{module.name}")


def convert_features(kind: type, emit: Emit) -> None:
    """Register a transformer that makes features of images.

    Parameters
    ----------
    kind : type
        A subclass of `imgfeat._base.ImageTransformer`.
    emit : callable
        ``emit(nodes, transformer, images, shape)`` adds nodes and returns the name of the features
        (n, d), float32. `images` names a tensor (n, *shape), uint8, and `shape` is (h, w) or
        (h, w, c) with c in {1, 3}. It raises NotImplementedError, with the reason, for settings
        that no graph can compute.
    """
    types = import_optional("skl2onnx", extra="export").common.data_types

    def infer(operator: Any) -> None:
        height, width = find_shape(operator)[:2]
        n_features = operator.raw_operator._count_features(height, width)
        operator.outputs[0].type = types.FloatTensorType([None, n_features])

    def convert(scope: Any, operator: Any, container: Any) -> None:
        if container.target_opset_onnx < LEAST_OPSET:
            raise NotImplementedError(
                f"target_opset={container.target_opset_onnx}: features of images need "
                f"{LEAST_OPSET} or later."
            )
        nodes = Nodes(scope, container)
        shape = find_shape(operator)
        images = operator.inputs[0].full_name
        if len(operator.inputs[0].type.shape) == 2:
            images = nodes.reshape(images, -1, *shape)
        features = emit(nodes, operator.raw_operator, images, shape)
        nodes.add("Identity", features, output=operator.outputs[0].full_name)

    register(kind, infer, convert)


def register(kind: type, infer: Callable, convert: Callable, **options: Any) -> None:
    """Register an estimator by skl2onnx's public interface, under the name imgfeat gives it.

    Parameters
    ----------
    kind : type
    infer : callable
        Sets the types of the outputs of an operator.
    convert : callable
        ``convert(scope, operator, container)`` adds the nodes.
    **options : object
        Passed on, such as ``parser`` and ``options``.
    """
    skl2onnx = import_optional("skl2onnx", extra="export")
    skl2onnx.update_registered_converter(
        kind, f"Imgfeat{kind.__name__}", infer, convert, overwrite=True, **options
    )


def find_shape(operator: Any) -> Shape:
    """Return the shape (h, w) or (h, w, c) of the images that an operator gets.

    Raises
    ------
    ValueError
        If they are flat and the transformer does not say their shape.
    """
    shape = tuple(operator.inputs[0].type.shape)[1:]
    if len(shape) == 1:
        shape = getattr(operator.raw_operator, "image_shape", None) or shape
    if len(shape) not in (2, 3) or not all(isinstance(side, (int, np.integer)) for side in shape):
        raise ValueError(
            f"{type(operator.raw_operator).__name__} wants images of a fixed shape (h, w) or "
            f"(h, w, c), got {shape}. Give initial types such as "
            "('images', UInt8TensorType([None, 64, 64, 3]))."
        )
    return shape
