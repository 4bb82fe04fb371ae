"""Segments of JPEG files, and detection of missing image data."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

EOI, SOS, APP0, APP14, APP15, COM = 0xD9, 0xDA, 0xE0, 0xEE, 0xEF, 0xFE
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)
EXIF = b"Exif\0\0"
# In compressed data, 0xFF is followed by 0 or by a restart number.
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
# Compressed data to append: decoders ignore them after the last block. There are two, since one
# may happen to decode to the zeros that decoders substitute for missing data.
EXTRAS = (bytes(range(85, 251)) * 3, bytes(range(250, 84, -1)) * 3)
ENDING = b"\xff\xd9"


class Segment(NamedTuple):
    """A segment: its marker, the position of the marker, and the start and end of its content."""

    marker: int
    place: int
    start: int
    stop: int


def list_segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments of a JPEG file, up to its end marker or the end of the data."""
    place = 2
    while (found := MARKER.search(data, place)) is not None:
        place, marker = found.start(), data[found.start() + 1]
        if marker == EOI:
            yield Segment(marker, place, place + 2, place + 2)
            return
        stop = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        yield Segment(marker, place, place + 4, stop)
        place = stop


def find_missing_data(data: bytes) -> str | None:
    """Return which data are missing according to the file's segments, or None."""
    n_components, scan = 0, 0
    precision: dict[int, bytearray] = {}
    for marker, _, start, stop in list_segments(data):
        content = data[start:stop]
        if marker in PROGRESSIVE and len(content) > 5:
            n_components = content[5]
        elif marker == SOS and content and len(content) >= 4 + 2 * content[0]:
            scan = stop
            if n_components == 0:
                break
            first, last, shift = content[-3:]
            for component in content[1 : 1 + 2 * content[0] : 2]:
                bits = precision.setdefault(component, bytearray(b"\xff" * 64))
                bits[first : last + 1] = bytes([shift & 15]) * (last + 1 - first)
    if scan and data.rfind(ENDING) < scan and data.endswith(bytes(16)):
        return "it is damaged: its data are zeros"
    if len(precision) < n_components or any(map(any, precision.values())):
        return "the file is cut off: scans of the picture are missing"
    return None


def is_cut_off(data: bytes, decode: Callable[[bytes], bytes | None]) -> bool:
    """Return whether the picture changes if data are appended, since it is then incomplete.

    Parameters
    ----------
    data : bytes
        A JPEG file.
    decode : callable
        Takes the content of a JPEG file, and returns its pixels or None.
    """
    segments = list(list_segments(data))
    if not segments or segments[-1].marker != EOI:
        return False
    end = segments[-1].place
    pixels = decode(data)
    return any(decode(data[:end] + extra + data[end:]) != pixels for extra in EXTRAS)


def strip(data: bytes) -> tuple[bytes, bytes | None]:
    """Return a JPEG file without metadata, and the EXIF block that was in the file."""
    parts, exif, place = [data[:2]], None, 2
    for marker, begin, start, stop in list_segments(data):
        parts.append(data[place:begin])
        if marker == SOS:
            parts.append(data[begin:])
            break
        if marker == COM or (APP0 < marker <= APP15 and marker != APP14):
            if data[start:stop].startswith(EXIF):
                exif = data[start:stop]
        else:
            parts.append(data[begin:stop])
        place = stop
    return b"".join(parts), exif
