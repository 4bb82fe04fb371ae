"""The file that `to_onnx` writes: what it holds besides the graph, and whether it is whole."""

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
from imgfeat.export.checks.metadata import NoteError, check_interface, check_notes
from imgfeat.export.checks.wire_format import WireError

INPUT = "images"
FORMAT = 1
METADATA = "imgfeat_pipeline"
HASH = "imgfeat_sha256"
NO_HASH = b"0" * 64
# What the graphs of all files together may allocate: a photograph of 90 million pixels fits.
MAX_MEMORY = 2**33

Provider = str | tuple[str, dict[str, Any]]


class OpenedModel(NamedTuple):
    """A file's bytes, the session that runs it, and what the exporter noted."""

    model: bytes
    session: Any
    metadata: dict[str, Any]


def read_bytes(path: str | os.PathLike) -> bytes:
    """Read a file; ModelFileError if there is none."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        cause = "it is a folder" if Path(path).is_dir() else f"{error.strerror}"
        raise ModelFileError(f"Cannot read model {os.fspath(path)}: {cause}.") from error


def open_model(
    model: bytes, name: str, providers: Sequence[Provider], n_threads: int
) -> OpenedModel:
    """Check that a file is whole, understood and harmless, and only then start a session."""
    try:
        entries = read_entries(model)
        if METADATA not in entries or HASH not in entries:
            raise ModelFileError(
                f"{name} is no pipeline that imgfeat exported; ONNX Runtime itself can run it."
            )
        metadata = _read_metadata(entries[METADATA], name)
        found = entries[HASH]
        if len(found) != len(NO_HASH) or hash_model(model, found.encode()) != found:
            raise ModelFileError(
                f"{name} was changed after imgfeat wrote it: its content does not match its hash. "
                "Export it again, or get it anew from where it came from."
            )
        check_file(model)
    except WireError as error:
        raise ModelFileError(
            f"Cannot load model {name}: it is damaged or no ONNX file of imgfeat's: {error}."
        ) from error
    try:
        session = start_session(model, providers, n_threads, extra="runtime", max_memory=MAX_MEMORY)
        check_interface(metadata, session, INPUT)
    except (SessionError, NoteError) as error:
        raise ModelFileError(f"Cannot load model {name}: {error}") from error
    return OpenedModel(model, session, metadata)


def _read_metadata(text: str, name: str) -> dict[str, Any]:
    try:
        metadata = json.loads(text)
        newer, maker = metadata["format"] > FORMAT, metadata["versions"]["imgfeat"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{name}: what imgfeat noted in it is damaged.") from error
    if newer:
        raise ModelFileError(
            f"{name} was made by imgfeat {maker!s:.20}, and this is {__version__}: "
            "pip install --upgrade imgfeat"
        )
    try:
        check_notes(metadata)
    except NoteError as error:
        raise ModelFileError(f"{name}: what imgfeat noted in it is damaged: {error}.") from error
    return metadata


def hash_model(model: bytes, found: bytes = NO_HASH) -> str:
    """Return the SHA-256 of a file in which the hash itself counts as zeros.

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
