"""A reader of Protocol Buffers, the encoding of ONNX files, with all bounds checked.

A field that the caller does not name is an error, and so is a field that occurs twice but is not
repeated. This ensures that other readers of the same bytes, such as ONNX Runtime's, see the same
values.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_MAX_TAG = 2**32
_FIRST_WINDOW = 64


class WireError(ValueError):
    """The bytes are not a valid message with the expected fields."""


class Field(NamedTuple):
    """A field: the wire type of its values, and whether it may occur several times."""

    wire: int
    repeated: bool = False


Message = dict[int, Any]


def read_message(data: memoryview, fields: Mapping[int, Field]) -> Message:
    """Return the values of a message by their fields' numbers.

    Parameters
    ----------
    data : memoryview
    fields : dict of int to Field

    Returns
    -------
    values : dict
        A VARINT is an int, a value of another wire type a memoryview. Repeated fields are lists,
        except that repeated numbers are arrays: int64 for VARINT, uint32 for FIXED32 and uint64 for
        FIXED64.

    Raises
    ------
    WireError
        If the bytes end early, or contain a field that is not in `fields`.
    """
    values: Message = {}
    place, end = 0, len(data)
    while place < end:
        tag, begin = _read_varint(data, place)
        number, wire = tag >> 3, tag & 7
        field = fields.get(number)
        if tag >= _MAX_TAG or field is None:
            raise WireError(f"a field of number {number}, which imgfeat does not write")
        packed = field.repeated and wire == BYTES and field.wire != BYTES
        if not packed and (wire != field.wire or (field.repeated and wire == FIXED64)):
            raise WireError(f"field {number} has another wire type than ONNX gives it")
        if field.repeated and wire in (VARINT, FIXED32):
            found, place = _read_run(data, place, wire)
            values.setdefault(number, []).append(found)
            continue
        value, place = _read_value(data, begin, wire)
        if packed:
            values.setdefault(number, []).append(_unpack(value, field.wire))
        elif field.repeated:
            values.setdefault(number, []).append(value)
        elif number in values:
            raise WireError(f"field {number} occurs twice")
        else:
            values[number] = value
    for number, field in fields.items():
        if number in values and field.repeated and field.wire != BYTES:
            values[number] = np.concatenate(values[number])
    return values


def _read_varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for k in range(10):
        if place + k >= len(data):
            raise WireError("it ends within a number")
        byte = data[place + k]
        value |= (byte & 0x7F) << 7 * k
        if byte < 0x80:
            return value & (2**64 - 1), place + k + 1
    raise WireError("a number of more than ten bytes")


def _read_value(data: memoryview, place: int, wire: int) -> tuple[Any, int]:
    if wire == VARINT:
        value, place = _read_varint(data, place)
        return (value - 2**64 if value >= 2**63 else value), place
    length = {FIXED64: 8, FIXED32: 4}.get(wire)
    if length is None:
        length, place = _read_varint(data, place)
    if place + length > len(data):
        raise WireError("it ends within a field")
    return data[place : place + length], place + length


def _read_run(data: memoryview, place: int, wire: int) -> tuple[NDArray[Any], int]:
    """Read consecutive values of one field, each preceded by the same tag."""
    tag, begin = _read_varint(data, place)
    read = _match_varints if wire == VARINT else _match_fixed
    parts: list[NDArray[Any]] = []
    window = _FIRST_WINDOW
    while begin == place + 1 or parts:  # a tag of one byte
        found, length = read(np.frombuffer(data[place : place + window], np.uint8), tag)
        if not length:
            break
        parts.append(found)
        place += length
        window *= 8
    if parts:
        return np.concatenate(parts), place
    value, place = _read_value(data, begin, wire)
    number = value if wire == VARINT else int.from_bytes(value, "little")
    return np.array([number], np.int64 if wire == VARINT else np.uint32), place


def _match_fixed(window: NDArray[np.uint8], tag: int) -> tuple[NDArray[Any], int]:
    """Return consecutive numbers of four bytes, each after the tag, and the bytes they take."""
    records = window[: len(window) // 5 * 5].reshape(-1, 5)
    other = np.flatnonzero(records[:, 0] != tag)
    count = int(other[0]) if len(other) else len(records)
    return np.ascontiguousarray(records[:count, 1:]).view("<u4")[:, 0], 5 * count


def _match_varints(window: NDArray[np.uint8], tag: int) -> tuple[NDArray[Any], int]:
    """Return consecutive varints, each after the tag, and the bytes that they take."""
    numbers, ends = _decode_varints(window)
    count = len(numbers) // 2
    starts = np.concatenate([[0], ends[1::2]])[:count]
    other = np.flatnonzero((numbers[::2][:count] != tag) | (ends[::2][:count] != starts + 1))
    count = int(other[0]) if len(other) else count
    return numbers[1::2][:count], int(ends[2 * count - 1]) if count else 0


def _decode_varints(bytes_: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all complete varints up to the first of more than ten bytes, and where each ends."""
    ends = np.flatnonzero(bytes_ < 0x80) + 1
    lengths = np.diff(ends, prepend=0)
    long = np.flatnonzero(lengths > 10)
    ends = ends[: long[0]] if len(long) else ends
    if not len(ends):
        return np.zeros(0, np.int64), ends
    starts = np.concatenate([[0], ends[:-1]])
    position = np.arange(ends[-1]) - np.repeat(starts, ends - starts)
    parts = (bytes_[: ends[-1]] & np.uint8(0x7F)).astype(np.uint64) << (7 * position).astype(
        np.uint64
    )
    return np.bitwise_or.reduceat(parts, starts).view(np.int64), ends


def _unpack(data: memoryview, wire: int) -> NDArray[Any]:
    if wire == VARINT:
        numbers, ends = _decode_varints(np.frombuffer(data, np.uint8))
        if len(data) != (ends[-1] if len(ends) else 0):
            raise WireError("it ends within a number")
        return numbers
    kind = {FIXED32: "<u4", FIXED64: "<u8"}[wire]
    if len(data) % np.dtype(kind).itemsize:
        raise WireError("it ends within a number")
    return np.frombuffer(data, kind)
