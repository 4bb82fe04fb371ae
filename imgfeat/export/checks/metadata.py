"""Whether what an exported file notes of itself can be what `to_onnx` notes."""

import math
from numbers import Real
from typing import Any

import numpy as np

_KINDS = {"transformer": ["features"], "classifier": ["label"], "multilabel": ["label"]}
_VALUES = ("probabilities", "scores")
_COLORS, _RESIZES = ("rgb", "gray"), ("stretch", "crop", "pad")
_LONGEST_SIDE, _LONGEST_LABEL = 2**16, 1024


class NoteError(ValueError):
    """A note that is missing, or says what cannot be."""


def check_notes(notes: Any) -> None:
    """Raise NoteError, with the reason, unless notes have the form that `describe` gives them.

    Parameters
    ----------
    notes : object
        What the file's JSON holds.
    """
    if not isinstance(notes, dict):
        raise NoteError("it is no table")
    if notes.get("kind") not in _KINDS:
        raise NoteError(f"kind is {notes.get('kind')!r:.60}")
    _check_classes(notes)
    _check_input(notes.get("input"))


def _check_classes(notes: dict[str, Any]) -> None:
    classes, dtype = notes.get("classes"), notes.get("classes_dtype")
    if classes is None and dtype is None:
        if notes["kind"] == "classifier":
            raise NoteError("a classifier without classes")
        return
    if not isinstance(classes, list) or not isinstance(dtype, str):
        raise NoteError("classes are no list, or have no type")
    text = all(isinstance(label, str) for label in classes)
    if not text and not all(isinstance(label, Real) for label in classes):
        raise NoteError("classes are neither strings nor numbers")
    try:
        kind = np.dtype(dtype) if len(dtype) < 16 else None
        if kind is not None and kind.kind in ("UO" if text else "biufO"):
            longest = max([_LONGEST_LABEL, *map(len, classes)] if text else [0])
            if kind.kind != "U" or kind.itemsize <= 4 * longest:
                np.array(classes, dtype=kind)
                return
    except (TypeError, ValueError, OverflowError):
        pass
    raise NoteError(f"classes are not of type {dtype!r:.60}")


def _check_input(entry: Any) -> None:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(shape, list) or not 1 <= len(shape) <= 3:
        raise NoteError("the shape of an image is missing")
    free = shape[:2] == [None, None]
    sides = shape[2:] if free else shape
    if not all(
        _is_number(side, _LONGEST_SIDE**2 if len(shape) == 1 else _LONGEST_SIDE) for side in sides
    ):
        raise NoteError(f"images of shape {shape!r:.60}")
    loader = entry.get("loader")
    if loader is None and not free:
        return
    if not isinstance(loader, dict) or len(shape) != (3 if loader.get("color") == "rgb" else 2):
        raise NoteError("it does not say how to load images")
    if (
        loader.get("color") not in _COLORS
        or loader.get("resize") not in _RESIZES
        or not _is_number(loader.get("max_pixels"), 2**53)
        or shape[2:] not in ([], [3])
        or not set(loader) <= {"color", "resize", "max_pixels", "value_range"}
        or not _is_range(loader.get("value_range", "dtype"))
    ):
        raise NoteError("it says to load images in a way that is not known")


def _is_range(value: Any) -> bool:
    """Tell whether it is a value_range of ImageLoader's: a name, numbers or percentages."""
    if isinstance(value, str) or not isinstance(value, list) or len(value) != 2:
        return value in ("dtype", "image")
    if all(isinstance(end, str) and end.endswith("%") and len(end) < 16 for end in value):
        value = [end[:-1] for end in value]
    try:
        low, high = map(float, value)
    except (TypeError, ValueError, OverflowError):
        return False
    return -math.inf < low < high < math.inf


def _is_number(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most


def check_interface(notes: dict[str, Any], session: Any, name: str) -> None:
    """Raise NoteError if a graph takes or gives something else than notes say.

    Parameters
    ----------
    notes : dict
    session : onnxruntime.InferenceSession
    name : str
        Of the graph's only input.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = notes["input"]["shape"]
    if [(value.name, value.type) for value in inputs] != [(name, "tensor(uint8)")]:
        raise NoteError(f"its graph does not take {name!r} alone")
    sides = zip(inputs[0].shape[1:], shape, strict=False)
    if len(inputs[0].shape) != 1 + len(shape) or not all(_agree(*pair) for pair in sides):
        raise NoteError("its graph takes images of another shape")
    names = [value.name for value in outputs]
    expected = _KINDS[notes["kind"]]
    rest = names[len(expected) :]
    if names[: len(expected)] != expected or (rest and (rest[0] not in _VALUES or rest[1:])):
        raise NoteError("its graph gives something else")
    if names[0] == "label":
        text = outputs[0].type == "tensor(string)"
        classes = notes["classes"]
        if text != (bool(classes) and isinstance(classes[0], str)):
            raise NoteError("its labels are of another type")


def _agree(side: Any, noted: Any) -> bool:
    return not isinstance(side, int) if noted is None else side == noted
