"""Recognition of image files, and of hidden files and folders created by systems."""

import os
import re
from collections.abc import Mapping

from imgfeat.images.formats.decoders import FORMATS

EXTENSIONS = frozenset(
    {".apng", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
    | ({".avif"} if "AVIF" in FORMATS else set())
)
# Image formats that are not read; the user is warned that such files are left out.
UNREAD_EXTENSIONS = (
    frozenset(
        {".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".exr", ".hdr", ".heic", ".heif"}
        | {".ico", ".j2k", ".jp2", ".jxl", ".jxr", ".nef", ".orf", ".psd", ".raf", ".raw", ".rw2"}
        | {".svg", ".tga", ".xcf"}
    )
    - EXTENSIONS
)

# Created by Synology and QNAP, macOS, Windows, Linux and Python in folders of data.
SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "@recycle", "#snapshot", "__macosx", "$recycle.bin"}
    | {"system volume information", "lost+found", "__pycache__"}
)
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})

# Reasons for leaving a file out, shown as in "left out 3: 2 hidden or system file, 1 .txt".
HIDDEN = "hidden or system file"
UNREAD = "a format that imgfeat does not read"
NOT_AN_IMAGE = "no extension and not an image"

# "photo.jpg?w=640", "v1.5" and "Dr. No" have no extension that names a format.
_ENDING = re.compile(r"\.[a-z][a-z0-9]*~?")
_PPM = re.compile(rb"P[1-6]\s")
_BMP_HEADER_SIZES = {12, 40, 52, 56, 64, 108, 124}


def find_rejection_reason(path: str) -> str | None:
    """Return why a file is not taken as an image, or None if it is.

    The extension decides, so that a damaged image raises an error when it is read; for a file
    without extension, the first bytes decide.
    """
    name = os.path.basename(path)
    if name.startswith(".") or name.lower() in SYSTEM_FILES:
        return HIDDEN
    ending = os.path.splitext(name)[1].lower()
    if ending in EXTENSIONS:
        return None
    if ending in UNREAD_EXTENSIONS:
        return f"{ending} ({UNREAD})"
    if _ENDING.fullmatch(ending):
        return ending
    kind = _sniff(path)
    if kind is None:
        return NOT_AN_IMAGE
    return None if kind in FORMATS else f"{kind} ({UNREAD})"


def _sniff(path: str) -> str | None:
    """Return the format of a file according to its first bytes."""
    if not os.path.isfile(path):  # for example a named pipe, which would block
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(32)
    except OSError:
        return None
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    if _PPM.match(start):
        return "PPM"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12])
    return None


_SIGNATURES: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"8BPS": "PSD",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
_BRANDS: Mapping[bytes, str] = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
}


def is_system_folder(name: str) -> bool:
    """Return whether a folder is hidden or created by an operating system."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS
