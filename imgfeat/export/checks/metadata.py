"""Check that the metadata of an exported file can have been written by `to_onnx`."""

import math
from numbers import Real
from typing import Any

import numpy as np

from imgfeat._protocols import InferenceSession

_KINDS = {"transformer": ["features"], "classifier": ["label"], "multilabel": ["label"]}
_VALUES = ("probabilities", "scores")
_COLORS, _RESIZES = ("rgb", "gray"), ("stretch", "crop", "pad")
_LONGEST_SIDE, _LONGEST_LABEL = 2**16, 1024


class MetadataError(ValueError):
    """An entry of the metadata is missing or invalid."""


def check_metadata(metadata: object) -> None:
    """Raise MetadataError, with the reason, unless metadata have the form that `describe` writes.

    Parameters
    ----------
    metadata : object
        The parsed JSON.
    """
    if not isinstance(metadata, dict):
        raise MetadataError("it is not a JSON object")
    if metadata.get("kind") not in _KINDS:
        raise MetadataError(f"kind is {metadata.get('kind')!r:.60}")
    _check_classes(metadata)
    _check_input(metadata.get("input"))


def _check_classes(metadata: dict[str, Any]) -> None:
    classes, dtype = metadata.get("classes"), metadata.get("classes_dtype")
    if classes is None and dtype is None:
        if metadata["kind"] == "classifier":
            raise MetadataError("the classes of a classifier are missing")
        return
    if not isinstance(classes, list) or not isinstance(dtype, str):
        raise MetadataError("classes are not a list, or classes_dtype is missing")
    text = all(isinstance(label, str) for label in classes)
    if not text and not all(isinstance(label, Real) for label in classes):
        raise MetadataError("classes are neither strings nor numbers")
    try:
        kind = np.dtype(dtype) if len(dtype) < 16 else None
        if kind is not None and kind.kind in ("UO" if text else "biufO"):
            longest = max([_LONGEST_LABEL, *map(len, classes)] if text else [0])
            if kind.kind != "U" or kind.itemsize <= 4 * longest:
                np.array(classes, dtype=kind)
                return
    except (TypeError, ValueError, OverflowError):
        pass
    raise MetadataError(f"classes are not of type {dtype!r:.60}")


def _check_input(entry: object) -> None:
    if not isinstance(entry, dict):
        raise MetadataError("the shape of an image is missing")
    shape = entry.get("shape")
    if not isinstance(shape, list) or not 1 <= len(shape) <= 3:
        raise MetadataError("the shape of an image is missing")
    free = shape[:2] == [None, None]
    sides = shape[2:] if free else shape
    if not all(
        _is_number(side, _LONGEST_SIDE**2 if len(shape) == 1 else _LONGEST_SIDE) for side in sides
    ):
        raise MetadataError(f"shape of an image is {shape!r:.60}")
    loader = entry.get("loader")
    if loader is None and not free:
        return
    if not isinstance(loader, dict) or len(shape) != (3 if loader.get("color") == "rgb" else 2):
        raise MetadataError("the loader is missing or does not match the shape of an image")
    if (
        loader.get("color") not in _COLORS
        or loader.get("resize") not in _RESIZES
        or not _is_number(loader.get("max_pixels"), 2**53)
        or shape[2:] not in ([], [3])
        or not set(loader) <= {"color", "resize", "max_pixels", "value_range"}
        or not _is_range(loader.get("value_range", "dtype"))
    ):
        raise MetadataError("the loader has an unknown or invalid parameter")


def _is_range(value: object) -> bool:
    """Return whether a value is a value_range of ImageLoader: a name, numbers or percentages."""
    if isinstance(value, str) or not isinstance(value, list) or len(value) != 2:
        return value in ("dtype", "image")
    if all(isinstance(end, str) and end.endswith("%") and len(end) < 16 for end in value):
        value = [end[:-1] for end in value]
    try:
        low, high = map(float, value)
    except (TypeError, ValueError, OverflowError):
        return False
    return -math.inf < low < high < math.inf


def _is_number(value: object, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def check_interface(metadata: dict[str, Any], session: InferenceSession, name: str) -> None:
    """Raise MetadataError if the inputs or outputs of a graph do not match the metadata.

    Parameters
    ----------
    metadata : dict
    session : onnxruntime.InferenceSession
    name : str
        Name of the graph's only input.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = metadata["input"]["shape"]
    if [(value.name, value.type) for value in inputs] != [(name, "tensor(uint8)")]:
        raise MetadataError(f"its graph does not have the single input {name!r}")
    sides = zip(inputs[0].shape[1:], shape, strict=False)
    if len(inputs[0].shape) != 1 + len(shape) or not all(_agree(*pair) for pair in sides):
        raise MetadataError("its graph takes images of another shape than the metadata state")
    names = [value.name for value in outputs]
    expected = _KINDS[metadata["kind"]]
    rest = names[len(expected) :]
    if names[: len(expected)] != expected or (rest and (rest[0] not in _VALUES or rest[1:])):
        raise MetadataError("its graph has other outputs than the metadata state")
    if names[0] == "label":
        text = outputs[0].type == "tensor(string)"
        classes = metadata["classes"]
        if text != (bool(classes) and isinstance(classes[0], str)):
            raise MetadataError("its labels are of another type than the metadata state")


def _agree(side: int | str | None, stated: int | None) -> bool:
    return not isinstance(side, int) if stated is None else side == stated
