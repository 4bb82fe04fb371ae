"""Which estimators become nodes, and how: imgfeat's converters, in a table of their own."""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from imgfeat._optional import import_optional
from imgfeat.export.ops.nodes import Nodes, Shape

# Before, reductions took their axes in another way.
MIN_OPSET = 18

Emit = Callable[[Nodes, Any, str, Shape], str]


@dataclass(frozen=True)
class Converter:
    """What skl2onnx wants to know of an estimator.

    Attributes
    ----------
    infer : callable
        Sets the types of the outputs of an operator.
    convert : callable
        ``convert(scope, operator, container)`` adds the nodes.
    parser : callable or None
        Declares operators where one of its own name is not enough.
    options : dict or None
        Which options it knows; a classifier knows some.
    """

    infer: Callable
    convert: Callable
    parser: Callable | None = None
    options: dict[str, Any] | None = None


_CONVERTERS: dict[type, Converter] = {}


@functools.cache
def load_converters() -> dict[type, Converter]:
    """Return imgfeat's converters, for its own estimators and for scikit-learn's.

    Raises
    ------
    MissingExtraError
        If skl2onnx is not installed.
    """
    import_optional("skl2onnx", extra="export")
    from imgfeat.export import converters

    for module in pkgutil.iter_modules(converters.__path__):
        importlib.import_module(f"{converters.__name__}.{module.name}")
    return _CONVERTERS


def register(
    kind: type,
    infer: Callable,
    convert: Callable,
    *,
    parser: Callable | None = None,
    options: dict[str, Any] | None = None,
) -> None:
    """Keep the converter of an estimator, for `load_converters`: skl2onnx is not told."""
    _CONVERTERS[kind] = Converter(infer, convert, parser, options)


def register_converters() -> None:
    """Make imgfeat's estimators known to ``skl2onnx.to_onnx``.

    For this process, skl2onnx then also converts scikit-learn's estimators that it does not know,
    and by imgfeat's converters those of which its own give other labels: SVC and NuSVC that break
    ties, and HistGradientBoostingClassifier. All else stays as it is. `to_onnx` needs none of this.

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
    load_converters()
    from imgfeat.export.converters.registration import register_with_skl2onnx

    register_with_skl2onnx()


def convert_features(kind: type, emit: Emit) -> None:
    """Keep the converter of a transformer that makes features of images.

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
        if container.target_opset_onnx < MIN_OPSET:
            raise NotImplementedError(
                f"target_opset={container.target_opset_onnx}: features of images need "
                f"{MIN_OPSET} or later."
            )
        nodes = Nodes(scope, container)
        shape = find_shape(operator)
        images = operator.inputs[0].full_name
        if len(operator.inputs[0].type.shape) == 2:
            images = nodes.reshape(images, -1, *shape)
        features = emit(nodes, operator.raw_operator, images, shape)
        nodes.add("Identity", features, output=operator.outputs[0].full_name)

    register(kind, infer, convert)


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
