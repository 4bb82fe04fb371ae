"""The chunks of PNG files: what is damaged among them, and which of them make the picture."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What the pixels need; all else is text, profiles, times and further frames.
PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# Pillow's names of several channels of 16 bits, of which it keeps 8.
DEEP_MODES = ("RGB;16B", "LA;16B", "RGBA;16B")


class Chunk(NamedTuple):
    """A chunk: its type, where it begins, and where its content ends; 4 bytes of CRC follow."""

    kind: bytes
    start: int
    stop: int


def list_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG file, up to its end or the end of what is there."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        kind = data[place + 4 : place + 8]
        stop = place + 8 + int.from_bytes(data[place : place + 4], "big")
        yield Chunk(kind, place, stop)
        if kind == b"IEND":
            return
        place = stop + 4


def find_bad_pixels(data: bytes) -> str | None:
    """Return what is wrong with the chunks that hold pixels, or None."""
    view = memoryview(data)
    for kind, start, stop in list_chunks(data):
        if kind == b"IDAT" and zlib.crc32(view[start + 4 : stop]) != int.from_bytes(
            view[stop : stop + 4], "big"
        ):
            return "it is damaged: the checksum of its pixels is wrong"
    return None


def find_missing_end(data: bytes) -> str | None:
    """Return a sentence if the file ends without its end chunk."""
    ended = any(kind == b"IEND" and stop + 4 <= len(data) for kind, _, stop in list_chunks(data))
    return None if ended else "the file is cut off: it has no end chunk (IEND)"


def strip(data: bytes) -> tuple[bytes, bytes | None]:
    """Return a PNG file of the picture alone, and the EXIF block that was in the file."""
    parts, exif = [SIGNATURE], None
    for kind, start, stop in list_chunks(data):
        if kind in PICTURE:
            parts.append(data[start : stop + 4])
        elif kind == b"eXIf":
            exif = data[start + 8 : stop]
    return b"".join(parts), exif
