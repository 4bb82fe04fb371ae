"""Images and labels from a folder that holds one folder for each class."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imgfeat.images.datasets.file_problems import find_problems
from imgfeat.images.files import EXTENSIONS, UNREAD
from imgfeat.images.folders import DAMAGED, ImageFiles, list_class_folders, list_image_files
from imgfeat.images.splits import find_class_folders, find_mixed_roles, find_split


def load_folder(
    folder: str | os.PathLike[str], *, verify: bool = False
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """List a folder of class folders.

    Parameters
    ----------
    folder : path-like
        Holds one folder for each class, named after the class; images may also be in subfolders
        or linked folders.
    verify : bool, default=False
        Decode every image, and leave out unreadable or incomplete ones together with their
        labels, with a warning that lists them.

    Returns
    -------
    paths : ndarray of shape (n,), dtype str
        Sorted, so that the order is the same on every system.
    labels : ndarray of shape (n,), dtype str
        Names of the class folders, in Unicode normalization form NFC.

    Raises
    ------
    ValueError
        If there is no such folder, it holds fewer than two classes with images, or it is split
        into "train" and "test", each of which holds the class folders.

    Warns
    -----
    UserWarning
        If a class folder holds no image, there are images of formats that imgfeat does not read,
        or every class folder is itself split into "train" and "test".

    See Also
    --------
    find_split : Find the training and test parts of a folder.
    list_files : Also list the files left out, with the reasons.

    Notes
    -----
    Images are recognised by their file extension, or by their first bytes if they have none.
    Hidden files and folders, and those created by operating systems (``@eaDir``, ``__MACOSX``,
    ``Thumbs.db``), are ignored.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from PIL import Image
    >>> from imgfeat.datasets import load_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         (pathlib.Path(folder) / name).mkdir()
    ...         Image.new("RGB", (8, 8)).save(f"{folder}/{name}/1.png")
    ...     paths, labels = load_folder(folder)
    >>> labels.tolist()
    ['cat', 'dog']
    """
    files = list_files(folder, verify=verify)
    unread = {reason: len(paths) for reason, paths in files.left_out.items() if UNREAD in reason}
    if unread:
        listed = ", ".join(f"{count} {reason}" for reason, count in unread.items())
        warnings.warn(f"Left out in {folder}: {listed}.", UserWarning, stacklevel=2)
    return np.array(files.paths), np.array(files.labels)


def list_files(folder: str | os.PathLike[str], *, verify: bool = False) -> ImageFiles:
    """List a folder of class folders as `load_folder` does, and the files left out.

    Parameters
    ----------
    folder : path-like
    verify : bool, default=False

    Returns
    -------
    files : ImageFiles
        Has ``paths``, ``labels`` and ``left_out``, a dict of paths by reason.

    Raises
    ------
    ValueError
        As `load_folder` does.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from PIL import Image
    >>> from imgfeat.datasets import list_files
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat", "dog"):
    ...         (pathlib.Path(folder) / name).mkdir()
    ...         (pathlib.Path(folder) / name / "notes.txt").touch()
    ...         Image.new("RGB", (8, 8)).save(f"{folder}/{name}/1.png")
    ...     print(list_files(folder).describe_left_out())
    left out 2: 2 .txt
    """
    parts = find_split(folder)
    if parts:
        inside = parts.get("train", next(iter(parts.values())))
        raise ValueError(
            f"{folder} holds parts of a data set instead of class folders: "
            f"{', '.join(parts.values())}. Give one of these parts, such as {inside}."
        )
    files = list_class_folders(folder)
    _check_classes(files, folder, "")
    if files.empty:
        warnings.warn(f"No images in {', '.join(files.empty)}: left out.", stacklevel=3)
    mixed = find_mixed_roles(files, folder)
    if mixed:
        warnings.warn(
            f"Each class folder in {folder} holds {' and '.join(mixed)}: images of both are taken "
            f"together. To separate them, put the class folders into {folder}/{mixed[-1]} and "
            "so on.",
            stacklevel=3,
        )
    if verify:
        files = _leave_out_damaged(files)
        _check_classes(files, folder, "readable ")
    return files


def choose_part(folder: str, parts: Sequence[str]) -> str:
    """Return the first of `parts` that a split folder has, or the folder if it is not split.

    Parameters
    ----------
    folder : str
    parts : sequence of {"train", "validation", "test"}

    Raises
    ------
    ValueError
        If the folder is split, but has none of these parts.
    """
    found = find_split(folder)
    if found and not found.keys() & set(parts):
        raise ValueError(
            f"{folder} holds {', '.join(found.values())} instead of class folders, but no part for "
            f"{' or '.join(parts)}. Give a folder of class folders."
        )
    return next((found[part] for part in parts if part in found), folder)


def list_images(folder: str | os.PathLike[str]) -> list[str]:
    """Return the paths of all images in a folder and the folders below, sorted."""
    return list_image_files(folder).paths


def _leave_out_damaged(files: ImageFiles) -> ImageFiles:
    problems = list(find_problems(files.paths))
    doubtful = [problem.cause for problem in problems if problem and problem.readable]
    if doubtful:
        listed = "\n  ".join(doubtful)
        warnings.warn(
            f"{len(doubtful)} file(s) can be read, and are kept, but look damaged:\n  {listed}",
            UserWarning,
            stacklevel=4,
        )
    bad = [problem is not None and not problem.readable for problem in problems]
    if not any(bad):
        return files
    damaged = [path for path, left_out in zip(files.paths, bad, strict=True) if left_out]
    listed = "\n  ".join(p.cause for p in problems if p is not None and not p.readable)
    warnings.warn(f"Left out {len(damaged)} file(s):\n  {listed}", UserWarning, stacklevel=4)
    good = [number for number, left_out in enumerate(bad) if not left_out]
    return replace(
        files,
        paths=[files.paths[number] for number in good],
        labels=[files.labels[number] for number in good],
        left_out=files.left_out | {DAMAGED: damaged},
    )


def _check_classes(files: ImageFiles, folder: str | os.PathLike[str], kind: str) -> None:
    classes = sorted(set(files.labels))
    if len(classes) > 1:
        return
    inside = find_class_folders(folder) if classes else None
    raise ValueError(
        f"{folder} must hold a folder of {kind}images for each of two or more classes, got "
        f"{classes or 'none'}. "
        + (
            f"Did you mean {inside}?"
            if inside
            else f"Images are files ending in {', '.join(sorted(EXTENSIONS))}."
        )
    )
