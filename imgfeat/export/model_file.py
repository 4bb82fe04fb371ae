"""Reading of files that `to_onnx` wrote: metadata, hash, checks and session."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from imgfeat import __version__
from imgfeat._files import ModelFileError
from imgfeat._sessions import SessionError, start_session
from imgfeat.export.checks.file import check_file, read_entries
from imgfeat.export.checks.metadata import MetadataError, check_interface, check_metadata
from imgfeat.export.checks.wire_format import WireError

INPUT = "images"
FORMAT = 1
METADATA = "imgfeat_pipeline"
HASH = "imgfeat_sha256"
NO_HASH = b"0" * 64
# Bytes that the sessions of all files together may allocate: enough for an image of 90 million
# pixels.
MAX_MEMORY = 2**33

Provider = str | tuple[str, dict[str, Any]]


class OpenedModel(NamedTuple):
    """A file's bytes, the session that runs its graph, and its metadata."""

    model: bytes
    session: Any
    metadata: dict[str, Any]


def read_bytes(path: str | os.PathLike) -> bytes:
    """Read a file; ModelFileError if that is not possible."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        cause = "it is a folder" if Path(path).is_dir() else f"{error.strerror}"
        raise ModelFileError(f"Cannot read model {os.fspath(path)}: {cause}.") from error


def open_model(
    model: bytes, name: str, providers: Sequence[Provider], n_threads: int
) -> OpenedModel:
    """Check that a file is complete, unchanged and harmless, and only then start a session."""
    try:
        entries = read_entries(model)
        if METADATA not in entries or HASH not in entries:
            raise ModelFileError(
                f"{name} is no pipeline that imgfeat exported: run it with onnxruntime itself."
            )
        metadata = _read_metadata(entries[METADATA], name)
        found = entries[HASH]
        if len(found) != len(NO_HASH) or hash_model(model, found.encode()) != found:
            raise ModelFileError(
                f"{name} was changed after imgfeat wrote it: its content does not match its hash. "
                "Export it again, or fetch it again from its source."
            )
        check_file(model)
    except WireError as error:
        raise ModelFileError(
            f"Cannot load model {name}: it is damaged or was not written by imgfeat: {error}."
        ) from error
    try:
        session = start_session(model, providers, n_threads, extra="runtime", max_memory=MAX_MEMORY)
        check_interface(metadata, session, INPUT)
    except (SessionError, MetadataError) as error:
        raise ModelFileError(f"Cannot load model {name}: {error}") from error
    return OpenedModel(model, session, metadata)


def _read_metadata(text: str, name: str) -> dict[str, Any]:
    try:
        metadata = json.loads(text)
        newer, maker = metadata["format"] > FORMAT, metadata["versions"]["imgfeat"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{name}: its imgfeat metadata is damaged.") from error
    if newer:
        raise ModelFileError(
            f"{name} was made by imgfeat {maker!s:.20}, which is newer than this {__version__}: "
            "pip install --upgrade imgfeat"
        )
    try:
        check_metadata(metadata)
    except MetadataError as error:
        raise ModelFileError(f"{name}: its imgfeat metadata is damaged: {error}.") from error
    return metadata


def hash_model(model: bytes, found: bytes = NO_HASH) -> str:
    """Return the SHA-256 of a file in which the stored hash is replaced by zeros.

    Parameters
    ----------
    model : bytes
    found : bytes of length 64, default=b"000..."
        The hash that the file holds.

    Returns
    -------
    digest : str
    """
    return hashlib.sha256(model.replace(found, NO_HASH)).hexdigest()
