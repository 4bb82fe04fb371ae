"""The format of files that `to_onnx` writes: names, metadata, hash, and the checks of all bytes."""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgfeat import __version__
from imgfeat._files import ModelFileError
from imgfeat.export.checks.file import check_file, read_entries
from imgfeat.export.checks.metadata import MetadataError, check_metadata
from imgfeat.export.checks.wire_format import WireError
from imgfeat.export.errors import ExportError

if TYPE_CHECKING:
    from onnx import ModelProto

# Name of the graph's only input.
INPUT = "images"
# Number of the format; files of a later one need a later release.
FORMAT = 1
# Keys of the entries of the ONNX file's metadata.
METADATA = "imgfeat_pipeline"
HASH = "imgfeat_sha256"
# What stands in place of the hash while the hash is computed.
NO_HASH = b"0" * 64


def serialize_model(model: "ModelProto", metadata: dict[str, Any]) -> bytes:
    """Return the content of a file: the graph, its metadata and their hash.

    Parameters
    ----------
    model : onnx.ModelProto
        Its metadata are replaced.
    metadata : dict
        As `imgfeat.export.description.describe` returns them.

    Returns
    -------
    content : bytes

    Raises
    ------
    ExportError
        If `load_onnx` would refuse to read the file.
    """
    del model.metadata_props[:]
    for key, value in ((METADATA, json.dumps(metadata)), (HASH, NO_HASH.decode())):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    model.producer_name, model.producer_version = "imgfeat", metadata["versions"]["imgfeat"]
    content = serialize_with_hash(model)
    try:
        check_file(content)
    except WireError as error:
        raise ExportError(
            f"`load_onnx` would refuse the graph: {error}. A network from an ONNX file may contain "
            "this. Nothing was written."
        ) from error
    return content


def serialize_with_hash(model: "ModelProto") -> bytes:
    """Return the bytes of a model, with their hash in place of the zeros in its metadata."""
    content = model.SerializeToString()
    # Metadata entries come last in the file, and the hash is the last of them.
    before, _, after = content.rpartition(NO_HASH)
    return before + hash_model(content).encode() + after


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a file; ModelFileError if that is not possible."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        cause = "it is a folder" if Path(path).is_dir() else f"{error.strerror}"
        raise ModelFileError(f"Cannot read model {os.fspath(path)}: {cause}.") from error


def check_model(model: bytes, name: str) -> dict[str, Any]:
    """Check that a file is complete, unchanged and harmless, and return its metadata.

    Parameters
    ----------
    model : bytes
        The content of the file.
    name : str
        Its name in error messages.

    Returns
    -------
    metadata : dict

    Raises
    ------
    ModelFileError
        If `to_onnx` cannot have written the file, or a newer version of imgfeat wrote it.
    """
    try:
        entries = read_entries(model)
        if METADATA not in entries or HASH not in entries:
            raise ModelFileError(
                f"{name} was not exported by imgfeat: run it with onnxruntime directly."
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
    return metadata


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
