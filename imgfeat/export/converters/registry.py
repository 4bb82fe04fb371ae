"""The registry of imgfeat's converters, separate from skl2onnx's."""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from imgfeat._optional import import_optional
from imgfeat.ops.nodes import Emit, Nodes, Shape

if TYPE_CHECKING:
    from imgfeat._compat.skl2onnx_types import ModelComponentContainer, Operator, Scope, Variable

# In earlier opsets, reductions take their axes as an attribute instead of an input.
MIN_OPSET = 18


Infer = Callable[["Operator"], None]
Convert = Callable[["Scope", "Operator", "ModelComponentContainer"], None]
# ``parser(scope, estimator, inputs, custom_parsers=...)``
Parser = Callable[..., list["Variable"]]
Parsers = dict[type, Parser]


@dataclass(frozen=True)
class Converter:
    """The functions by which skl2onnx converts an estimator.

    Attributes
    ----------
    infer : callable
        Sets the types of the outputs of an operator.
    convert : callable
        ``convert(scope, operator, container)`` adds the nodes.
    parser : callable or None
        Declares operators, if the estimator is not a single operator.
    options : dict or None
        The options that it supports, for classifiers.
    """

    infer: Infer
    convert: Convert
    parser: Parser | None = None
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
    infer: Infer,
    convert: Convert,
    *,
    parser: Parser | None = None,
    options: dict[str, Any] | None = None,
) -> None:
    """Add a converter to imgfeat's registry; it is not registered with skl2onnx."""
    _CONVERTERS[kind] = Converter(infer, convert, parser, options)


def register_converters() -> None:
    """Register imgfeat's converters with skl2onnx, for use by ``skl2onnx.to_onnx``.

    In this process, skl2onnx then converts imgfeat's estimators, and those of scikit-learn that it
    has no converter for. It also uses imgfeat's converters where its own predict other labels: for
    SVC and NuSVC with ``break_ties=True`` or a linear NuSVC of more than two classes, without
    probabilities, and for HistGradientBoostingClassifier. Other converters are not changed.
    `imgfeat.export.to_onnx` works without this call.

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
    """Add the converter of a transformer of images to features to imgfeat's registry.

    Parameters
    ----------
    kind : type
        A subclass of `imgfeat._base.ImageTransformer`.
    emit : callable
        Adds the nodes of the transformer; see `imgfeat.ops.nodes.Emit`.
    """
    types = import_optional("skl2onnx", extra="export").common.data_types

    def infer(operator: "Operator") -> None:
        height, width = find_shape(operator)[:2]
        n_features = operator.raw_operator._count_features(height, width)
        operator.outputs[0].type = types.FloatTensorType([None, n_features])

    def convert(scope: "Scope", operator: "Operator", container: "ModelComponentContainer") -> None:
        if container.target_opset_onnx < MIN_OPSET:
            raise NotImplementedError(
                f"target_opset={container.target_opset_onnx}: imgfeat's features need "
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


def find_shape(operator: "Operator") -> Shape:
    """Return the shape (h, w) or (h, w, c) of the images that an operator takes.

    Raises
    ------
    ValueError
        If the images are flat and the transformer has no `image_shape`.
    """
    shape = tuple(operator.inputs[0].type.shape)[1:]
    if len(shape) == 1:
        shape = getattr(operator.raw_operator, "image_shape", None) or shape
    if len(shape) not in (2, 3) or not all(isinstance(side, (int, np.integer)) for side in shape):
        raise ValueError(
            f"{type(operator.raw_operator).__name__} takes images of a fixed shape (h, w) or "
            f"(h, w, c), got {shape}. Pass initial types such as "
            "('images', UInt8TensorType([None, 64, 64, 3]))."
        )
    return shape
