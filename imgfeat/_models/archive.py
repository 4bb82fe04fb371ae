"""Model files as archives: how much they may unpack to, and the seal that tells damage."""

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

# skops stores arrays as they are; files that somebody compressed shrink by less than that.
LARGEST_EXPANSION = 20
# Of small files, where the ratio says little.
ALWAYS_ALLOWED = 1 << 24
SEAL = "imgfeat.json"
SEAL_FORMAT = 1
CHUNK = 1 << 20
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class ModelArchive:
    """A model file, opened for reading, from which no more than a limit can be read.

    Parameters
    ----------
    path : Path
    max_bytes : int or None
        Most bytes that all contents take unpacked. None is 20 times the size of the file, or
        16 MB of a small one.

    Raises
    ------
    ModelFileError
        If the contents take more.
    """

    def __init__(self, path: Path, max_bytes: int | None = None):
        size = path.stat().st_size
        self._limit = max(LARGEST_EXPANSION * size, ALWAYS_ALLOWED)
        if max_bytes is not None:
            self._limit = max_bytes
        self._path = path
        self._spent = 0
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
        """Return the contents of a member, once it is certain that they are no more than they say.

        Arrays are allocated by what their headers say, so these are held against the contents.
        """
        self._spent += self._zip.getinfo(name).file_size
        self._check_total(self._spent)
        content = self._zip.read(name)
        if name.endswith(".npy"):
            _check_array(content[:CHUNK], len(content), name)
        elif name.endswith(".npz"):
            self._check_arrays(content, name)
        return content

    def check_seal(self) -> None:
        """Compare the contents with the hash that was kept with them, if there is one.

        Raises
        ------
        ModelFileError
            If they are others.
        """
        if SEAL not in self._zip.namelist():
            return
        seal = json.loads(self._zip.read(SEAL))
        if seal["format"] != SEAL_FORMAT:
            raise ModelFileError(
                f"{self._path} was written by imgfeat {seal['imgfeat']}, in a newer format: "
                "update imgfeat."
            )
        if seal["sha256"] != _hash_members(self._zip):
            raise ModelFileError(
                f"{self._path} is damaged: its contents are not those that save_model wrote "
                "(SHA-256 differs). Copy it anew."
            )

    def _check_arrays(self, content: bytes, name: str) -> None:
        """Check an archive of arrays inside the archive, as sparse matrices are kept."""
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            self._check_members(inner)
            self._spent += sum(info.file_size for info in inner.infolist())
            self._check_total(self._spent)
            for info in inner.infolist():
                with inner.open(info) as member:
                    _check_array(member.read(CHUNK), info.file_size, f"{name}/{info.filename}")

    def _check_members(self, archive: zipfile.ZipFile) -> None:
        names = archive.namelist()
        if len(set(names)) < len(names):  # which of them is read depends on the reader
            raise ModelFileError(f"{self._path} is refused: it holds two contents of one name.")
        for info in archive.infolist():
            if info.compress_type not in METHODS:
                raise ModelFileError(
                    f"{self._path} is refused: {info.filename} is compressed, but not by deflate."
                )

    def _check_total(self, total: int) -> None:
        if total > self._limit:
            raise ModelFileError(
                f"{self._path} is refused: unpacked it takes {total:,} bytes or more, beyond the "
                f"limit of {self._limit:,}. If you know where it is from, load it in Python with "
                f"load_model(path, max_bytes={total})."
            )


def write_seal(path: Path) -> None:
    """Add to a model file the hash of its contents, and the versions that wrote it.

    It tells damage, not forgery: whoever changes the contents can write the hash anew.
    """
    from imgfeat import __version__

    with zipfile.ZipFile(path, "a") as archive:
        seal = {
            "format": SEAL_FORMAT,
            "imgfeat": __version__,
            "scikit-learn": sklearn.__version__,
            "sha256": _hash_members(archive),
        }
        archive.writestr(SEAL, json.dumps(seal))


def _hash_members(archive: zipfile.ZipFile) -> str:
    digest = hashlib.sha256()
    for info in archive.infolist():
        if info.filename == SEAL:
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
    """Raise ValueError where a .npy file, of which `start` is the beginning, is not `size` long."""
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
        raise ValueError(f"{name} is {size} bytes, which is no array of {shape} times {dtype}")


def _read_header(stream: io.BytesIO) -> tuple[Any, bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"arrays of .npy format {version} are not read")
