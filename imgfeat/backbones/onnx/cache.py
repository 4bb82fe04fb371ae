"""Cache of exported graphs on disk, so that each is exported once on a machine."""

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

from imgfeat._files import write_atomically
from imgfeat._optional import import_optional

FOLDER_VARIABLE = "IMGFEAT_CACHE_DIR"


def find_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of exported graphs.

    Parameters
    ----------
    cache_dir : path-like, default=None
        By default the environment variable ``IMGFEAT_CACHE_DIR``, or else the user's cache folder.
    """
    chosen = cache_dir or os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    return Path(import_optional("platformdirs").user_cache_dir("imgfeat", appauthor=False))


def hash_key(key: dict[str, Any]) -> str:
    """Return the hash of all that determines what a graph computes."""
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def read_graph(folder: Path, name: str) -> bytes | None:
    """Return a graph from the cache, or None if it is absent or damaged."""
    path = folder / f"{name}.graph"
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, body = content[:32], content[32:]
    return body if hashlib.sha256(body).digest() == digest else None


def write_graph(folder: Path, name: str, model: bytes) -> None:
    """Write a graph to the cache atomically; warn if the folder is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(model).digest()
        write_atomically(folder / f"{name}.graph", digest + model)
    except OSError as error:
        warnings.warn(
            f"The exported graph cannot be cached in {folder} ({error}), so that the next process "
            f"exports it again. Set cache_dir or {FOLDER_VARIABLE} to a writable folder.",
            UserWarning,
            stacklevel=2,
        )
