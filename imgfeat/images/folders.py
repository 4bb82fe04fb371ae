"""Lists of the images in a folder, their classes, and the files left out with the reasons."""

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgfeat.images.files import HIDDEN, find_rejection_reason, is_system_folder

# Reasons for leaving a file out, shown as in "left out 3: 2 hidden or system file, 1 .txt".
ALREADY_LISTED = "link to a folder already listed"
NO_PERMISSION = "permission denied"
OUTSIDE_CLASSES = "outside the class folders"
DAMAGED = "damaged"


@dataclass(frozen=True)
class ImageFiles:
    """Images in a folder and the folders below.

    Attributes
    ----------
    paths : list of str
        Paths of the images, sorted within each class.
    labels : list of str
        The class of each image.
    empty : list of str
        Classes without any image.
    left_out : dict of str to list of str
        Paths of the files and folders left out, by reason.
    """

    paths: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def describe_left_out(self) -> str:
        """Return the number of files left out for each reason, or an empty string.

        Examples
        --------
        >>> from imgfeat.images.folders import ImageFiles
        >>> files = ImageFiles(left_out={".txt": ["a.txt", "b.txt"], "damaged": ["c.png"]})
        >>> files.describe_left_out()
        'left out 3: 2 .txt, 1 damaged'
        """
        counts = {reason: len(paths) for reason, paths in self.left_out.items() if paths}
        listed = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        parts = ", ".join(f"{count:,} {reason}" for reason, count in listed)
        return f"left out {sum(counts.values()):,}: {parts}" if parts else ""


def list_class_folders(folder: str | os.PathLike[str]) -> ImageFiles:
    """List the images of a folder that holds one folder for each class.

    Class names are converted to Unicode normalization form NFC, since macOS uses another form;
    bytes that are not valid Unicode are escaped with backslashes. Links to folders are followed;
    each folder is listed once.

    Raises
    ------
    ValueError
        If there is no such folder.
    """
    root = check_folder(folder)
    walk = _Walk(root)
    classes: dict[str, str] = {}
    for name in sorted(os.listdir(root)):
        path = str(Path(root, name))
        if not os.path.isdir(path):
            walk.take_file(None, path)
        elif is_system_folder(name):
            walk.leave_out(HIDDEN, path)
        else:
            classes[path] = name_class(name)
    walk.add_folders(classes)
    found = {path: walk.found.get(path, []) for path in classes}
    filled = {classes[path] for path, images in found.items() if images}
    return ImageFiles(
        [image for images in found.values() for image in sorted(images)],
        [classes[path] for path, images in found.items() for _ in images],
        sorted(set(classes.values()) - filled),
        walk.left_out,
    )


def list_image_files(folder: str | os.PathLike[str]) -> ImageFiles:
    """List the images in a folder and the folders below, sorted; they have no labels.

    Raises
    ------
    ValueError
        If there is no such folder.
    """
    root = check_folder(folder)
    walk = _Walk(root, seen_root=False)
    walk.add_folders([root])
    return ImageFiles(sorted(walk.found.get(root, [])), left_out=walk.left_out)


def name_class(name: str) -> str:
    r"""Return the class name for the name of a folder.

    Examples
    --------
    >>> import os
    >>> from imgfeat.images.folders import name_class
    >>> name_class("cafe\u0301") == "caf\u00e9", name_class(os.fsdecode(b"caf\xe9"))
    (True, 'caf\\xe9')
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", name)


class _Walk:
    """Walks folders and collects images, visiting each folder once and linked folders last."""

    def __init__(self, root: str, *, seen_root: bool = True):
        self.found: dict[str, list[str]] = {}
        self.left_out: dict[str, list[str]] = {}
        # A link to a parent folder would list all classes as one.
        real = Path(os.path.realpath(root))
        above = [*real.parents, *([real] if seen_root else [])]
        self.seen = {_identify(path) for path in above}

    def add_folders(self, tops: Iterable[str]) -> None:
        """Find the images below folders; `found` maps each folder to its images."""
        links = [(top, top) for top in tops if os.path.islink(top)]
        for top in tops:
            if not os.path.islink(top):
                links += self._add(top, top)
        while links:
            links = [link for top, path in links for link in self._add(top, path)]

    def _add(self, top: str, folder: str) -> list[tuple[str, str]]:
        links = []
        if not self._visit(folder):
            return []
        for parent, folders, files in os.walk(folder, onerror=self._report):
            paths = {name: os.path.join(parent, name) for name in sorted(folders)}
            hidden = [name for name in paths if is_system_folder(name)]
            linked = [name for name in paths if os.path.islink(paths[name]) and name not in hidden]
            for name in hidden:
                self.leave_out(HIDDEN, paths[name])
            links += [(top, paths[name]) for name in linked]
            folders[:] = [
                name
                for name in paths
                if name not in hidden and name not in linked and self._visit(paths[name])
            ]
            for name in sorted(files):
                self.take_file(top, os.path.join(parent, name))
        return links

    def _visit(self, folder: str) -> bool:
        key = _identify(folder)
        if key in self.seen:
            self.leave_out(ALREADY_LISTED, folder)
            return False
        self.seen.add(key)
        return True

    def _report(self, error: OSError) -> None:
        self.leave_out(NO_PERMISSION, os.fspath(error.filename))

    def take_file(self, top: str | None, path: str) -> None:
        """Add a file to the images of the folder `top`, or leave it out, also if `top` is None."""
        reason = find_rejection_reason(path)
        if reason is not None:
            self.leave_out(reason, path)
        elif top is None:
            self.leave_out(OUTSIDE_CLASSES, path)
        else:
            self.found.setdefault(top, []).append(path)

    def leave_out(self, reason: str, path: str) -> None:
        """Record a path that is left out, by reason."""
        self.left_out.setdefault(reason, []).append(path)


def check_folder(folder: str | os.PathLike[str]) -> str:
    """Return the path of a folder, after checking that it exists."""
    root = os.fspath(folder)
    if not os.path.isdir(root):
        raise ValueError(
            f"{root} is not a folder. Give a folder that holds one folder for each class."
        )
    return root


def _identify(path: str | Path) -> Any:
    try:
        status = os.stat(path)
    except OSError:  # a parent folder without permission
        return os.path.realpath(path)
    # Some network drives have no inode numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
