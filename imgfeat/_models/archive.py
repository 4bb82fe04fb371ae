"""Model files as ZIP archives: the limit of their unpacked size, and the checksum inside."""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from imgfeat._files import ModelFileError

# Largest ratio of unpacked to packed size. skops does not compress arrays, and files that were
# compressed later have a smaller ratio.
LARGEST_EXPANSION = 20
# Unpacked size in bytes that is allowed for any file, since small files may have a large ratio.
ALWAYS_ALLOWED = 1 << 24
CHECKSUM_NAME = "imgfeat.json"
CHECKSUM_FORMAT = 1
CHUNK = 1 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ModelArchive:
    """A model file opened for reading, with a limit on its unpacked size.

    Parameters
    ----------
    path : Path
    max_bytes : int or None
        Maximum unpacked size of all members. None is 20 times the size of the file, but at least
        16 MB.

    Raises
    ------
    ModelFileError
        If the unpacked size exceeds the limit.
    """

    def __init__(self, path: Path, max_bytes: int | None = None):
        size = path.stat().st_size
        self._limit = max(LARGEST_EXPANSION * size, ALWAYS_ALLOWED)
        if max_bytes is not None:
            self._limit = max_bytes
        self._path = path
        self._n_read = 0
        self._zip = zipfile.ZipFile(path)
        try:
            self._check_members(self._zip)
            self._check_total(sum(info.file_size for info in self._zip.infolist()))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "ModelArchive":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def read(self, name: str) -> bytes:
        """Return the content of a member, after checking its size.

        NumPy allocates an array by the shape in its header, so the header is compared with the size
        of the content.
        """
        self._n_read += self._zip.getinfo(name).file_size
        self._check_total(self._n_read)
        content = self._zip.read(name)
        if name.endswith(".npy"):
            _check_array(content[:CHUNK], len(content), name)
        elif name.endswith(".npz"):
            self._check_arrays(content, name)
        return content

    def verify_checksum(self) -> None:
        """Compare the content of the file with the checksum in it, if there is one.

        Raises
        ------
        ModelFileError
            If the content differs, or the checksum has a newer format.
        """
        if CHECKSUM_NAME not in self._zip.namelist():
            return
        record = json.loads(self._zip.read(CHECKSUM_NAME))
        if record["format"] != CHECKSUM_FORMAT:
            raise ModelFileError(
                f"{self._path} was written by imgfeat {record['imgfeat']}, in a newer format: "
                "update imgfeat."
            )
        if record["sha256"] != _hash_members(self._zip):
            raise ModelFileError(
                f"{self._path} is damaged: its contents are not those that save_model wrote "
                "(SHA-256 differs). Copy the original file again."
            )

    def _check_arrays(self, content: bytes, name: str) -> None:
        """Check a .npz archive inside the archive, in which skops stores a sparse matrix."""
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            self._check_members(inner)
            self._n_read += sum(info.file_size for info in inner.infolist())
            self._check_total(self._n_read)
            for info in inner.infolist():
                with inner.open(info) as member:
                    _check_array(member.read(CHUNK), info.file_size, f"{name}/{info.filename}")

    def _check_members(self, archive: zipfile.ZipFile) -> None:
        names = archive.namelist()
        if len(set(names)) < len(names):  # ZIP readers differ in which of them they read
            raise ModelFileError(f"{self._path} is refused: it holds two members of the same name.")
        for info in archive.infolist():
            if info.compress_type not in METHODS:
                raise ModelFileError(
                    f"{self._path} is refused: {info.filename} is compressed, but not by deflate."
                )

    def _check_total(self, total: int) -> None:
        if total > self._limit:
            raise ModelFileError(
                f"{self._path} is refused: unpacked it takes {total:,} bytes or more, beyond the "
                f"limit of {self._limit:,}. If you trust its source, load it in Python with "
                f"load_model(path, max_bytes={total})."
            )


def write_checksum(path: Path) -> None:
    """Add the SHA-256 of its content and the versions of imgfeat and scikit-learn to a model file.

    The checksum detects damage but not forgery, since anyone who changes the content can also
    change the checksum.
    """
    from imgfeat import __version__

    with zipfile.ZipFile(path, "a") as archive:
        record = {
            "format": CHECKSUM_FORMAT,
            "imgfeat": __version__,
            "scikit-learn": sklearn.__version__,
            "sha256": _hash_members(archive),
        }
        archive.writestr(CHECKSUM_NAME, json.dumps(record))


def _hash_members(archive: zipfile.ZipFile) -> str:
    digest = hashlib.sha256()
    for info in archive.infolist():
        if info.filename == CHECKSUM_NAME:
            continue
        name = info.filename.encode()
        digest.update(b"%d:%s:%d:" % (len(name), name, info.file_size))
        for chunk in _read_chunks(archive, info):
            digest.update(chunk)
    return digest.hexdigest()


def _read_chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with archive.open(info) as member:
        while chunk := member.read(CHUNK):
            yield chunk


def _check_array(start: bytes, size: int, name: str) -> None:
    """Raise ValueError if the header in `start` does not match a .npy file of `size` bytes."""
    stream = io.BytesIO(start)
    shape, _, dtype = _read_header(stream)
    whole = all(type(length) is int and length >= 0 for length in shape)
    expected = stream.tell() + math.prod(shape) * dtype.itemsize
    if (
        not whole
        or dtype.hasobject
        or expected != size
        or (math.prod(shape) and not dtype.itemsize)
    ):
        raise ValueError(f"{name} has {size} bytes, but its header says shape {shape}, {dtype}")


def _read_header(stream: io.BytesIO) -> tuple[Any, bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f".npy format {version} is not supported")
