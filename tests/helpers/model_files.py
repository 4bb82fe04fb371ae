"""Model files taken apart and put together again, as a forger would."""

import io
import json
import zipfile

import numpy as np


def read_members(path):
    """Return the contents of a model file without its seal."""
    with zipfile.ZipFile(path) as archive:
        return {n: archive.read(n) for n in archive.namelist() if n != "imgfeat.json"}


def write_members(path, members, method=zipfile.ZIP_STORED):
    """Write a model file that has no seal."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def change_schema(path, change):
    """Let a function change the description of the objects in a model file."""
    members = read_members(path)
    schema = json.loads(members["schema.json"])
    change(schema)
    members["schema.json"] = json.dumps(schema).encode()
    write_members(path, members)


def change_arrays(path, change):
    """Let a function return other arrays; None leaves one as it is. Return how many it changed."""
    members = read_members(path)
    n_changed = 0
    for name in members:
        if name.endswith(".npy"):
            changed = change(np.load(io.BytesIO(members[name])))
            if changed is not None:
                stream = io.BytesIO()
                np.save(stream, changed)
                members[name] = stream.getvalue()
                n_changed += 1
    write_members(path, members)
    return n_changed


def list_nodes(schema, way):
    """Return the descriptions of all objects that are made in one way."""
    if isinstance(schema, list):
        return [node for inner in schema for node in list_nodes(inner, way)]
    if not isinstance(schema, dict):
        return []
    inside = [node for inner in schema.values() for node in list_nodes(inner, way)]
    return [schema, *inside] if schema.get("__loader__") == way else inside
