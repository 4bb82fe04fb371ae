"""Folders split into training, validation and test parts, each with the class folders."""

import os
import re
from pathlib import Path

from imgfeat.images.files import find_rejection_reason, is_system_folder
from imgfeat.images.folders import ImageFiles, check_folder, name_class

ROLES = {
    "train": {"train", "training"},
    "validation": {"val", "valid", "validation"},
    "test": {"test", "testing"},
}


def find_split(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Return the parts of a folder that is split into training and test images.

    Such a folder holds "train" and "test" (or "training", "val", "valid", "validation", "testing",
    in any case), which hold the class folders. Since classes can have these names as well, a folder
    counts as split only if its parts have classes in common, or if only "train" has class folders
    and all other folders are parts, too.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    parts : dict of str to str
        Paths of the parts that have class folders, by "train", "validation" and "test"; empty if
        the folder is not split.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from imgfeat.images.splits import find_split
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("train/cat", "train/dog", "Test/cat", "Test/dog"):
    ...         (pathlib.Path(folder) / name).mkdir(parents=True)
    ...     sorted(find_split(folder))
    ['test', 'train']
    """
    root = check_folder(folder)
    parts: dict[str, str] = {}
    others = []
    for name in sorted(_list_subfolders(root)):
        role = find_role(name)
        if role is None:
            others.append(name)
        else:
            parts.setdefault(role, os.path.join(root, name))
    classes = {role: set(map(name_class, _list_subfolders(path))) for role, path in parts.items()}
    if len(parts) < 2:
        return {}
    first = "train" if "train" in parts else "validation"
    known = classes[first]
    rest = [names for role, names in classes.items() if role != first]
    shared = any(len(known & names) > 1 or (names and names <= known) for names in rest)
    unlabelled = not others and all(len(names) < 2 for names in rest)
    if len(known) > 1 and (shared or (unlabelled and not _holds_images(parts[first]))):
        return {role: path for role, path in parts.items() if classes[role] & known}
    return {}


def find_class_folders(folder: str | os.PathLike[str]) -> str | None:
    """Return the only subfolder of a folder, if it holds several folders, else None."""
    root = os.fspath(folder)
    inner = _list_subfolders(root)
    path = os.path.join(root, inner[0]) if len(inner) == 1 else None
    return path if path and len(_list_subfolders(path)) > 1 else None


def find_role(name: str) -> str | None:
    """Return the part that the name of a folder stands for: "train", "validation" or "test"."""
    word = re.sub(r"[-_ ]?(set|data|images)$", "", name.strip().lower())
    return next((role for role, words in ROLES.items() if word in words), None)


def find_mixed_roles(files: ImageFiles, folder: str | os.PathLike[str]) -> list[str]:
    """Return the names of parts inside class folders, as in cat/train and cat/test.

    The result is empty unless every class has several parts. Their images are taken together, of
    which `list_files` warns.
    """
    below: dict[str, set[str]] = {}
    for path, label in zip(files.paths, files.labels, strict=True):
        inner = Path(os.path.relpath(path, folder)).parts[1:-1]
        below.setdefault(label, set()).add(inner[0] if inner else "")
    roles = [{find_role(name) for name in names} - {None} for names in below.values()]
    if not roles or any(len(found) < 2 for found in roles):
        return []
    return sorted({name for names in below.values() for name in names if find_role(name)})


def _list_subfolders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [e.name for e in entries if e.is_dir() and not is_system_folder(e.name)]


def _holds_images(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(
            not entry.is_dir() and find_rejection_reason(entry.path) is None for entry in entries
        )
