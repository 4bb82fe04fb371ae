"""Chunks of PNG files, and detection of damaged or missing ones."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Chunks needed to decode the pixels; others hold text, profiles, times and further frames.
PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
# Pillow's modes of 16-bit channels, which it reduces to 8 bits.
DEEP_MODES = ("RGB;16B", "LA;16B", "RGBA;16B")


class Chunk(NamedTuple):
    """A chunk: its type, its start, and the end of its content, before 4 bytes of CRC."""

    kind: bytes
    start: int
    stop: int


def list_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the chunks of a PNG file, up to the chunk IEND or the end of the data."""
    place = len(SIGNATURE)
    while place + 12 <= len(data):
        kind = data[place + 4 : place + 8]
        stop = place + 8 + int.from_bytes(data[place : place + 4], "big")
        yield Chunk(kind, place, stop)
        if kind == b"IEND":
            return
        place = stop + 4


def find_bad_pixels(data: bytes) -> str | None:
    """Return a description of damage to the chunks that hold pixels, or None."""
    view = memoryview(data)
    for kind, start, stop in list_chunks(data):
        if kind == b"IDAT" and zlib.crc32(view[start + 4 : stop]) != int.from_bytes(
            view[stop : stop + 4], "big"
        ):
            return "it is damaged: the checksum of its pixels is wrong"
    return None


def find_missing_end(data: bytes) -> str | None:
    """Return a description of the damage if the chunk IEND is missing, else None."""
    ended = any(kind == b"IEND" and stop + 4 <= len(data) for kind, _, stop in list_chunks(data))
    return None if ended else "the file is cut off: it has no end chunk (IEND)"


def strip(data: bytes) -> tuple[bytes, bytes | None]:
    """Return a PNG file without metadata, and the EXIF block that was in the file."""
    parts, exif = [SIGNATURE], None
    for kind, start, stop in list_chunks(data):
        if kind in PICTURE:
            parts.append(data[start : stop + 4])
        elif kind == b"eXIf":
            exif = data[start + 8 : stop]
    return b"".join(parts), exif
