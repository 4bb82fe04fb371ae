"""Which files of a folder are images, of which class, and what is left out and why."""

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imgfeat.decoding import FORMATS

EXTENSIONS = frozenset(
    {".apng", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
    | ({".avif"} if "AVIF" in FORMATS else set())
)
# Images as well, which the person who put them there may take for part of the data.
UNREAD_EXTENSIONS = (
    frozenset(
        {".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".exr", ".hdr", ".heic", ".heif"}
        | {".ico", ".j2k", ".jp2", ".jxl", ".jxr", ".nef", ".orf", ".psd", ".raf", ".raw", ".rw2"}
        | {".svg", ".tga", ".xcf"}
    )
    - EXTENSIONS
)

# Made by Synology and QNAP, macOS, Windows, Linux and Python, in whatever folder they see.
SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "@recycle", "#snapshot", "__macosx", "$recycle.bin"}
    | {"system volume information", "lost+found", "__pycache__"}
)
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})

# Reasons, as they are counted: "left out 3: 2 hidden or of the system, 1 .txt".
HIDDEN = "hidden or of the system"
UNREAD = "a format that imgfeat does not read"
NO_IMAGE = "without ending and no image"
TWICE = "linked to, but listed already"
CLOSED = "not permitted to open"
STRAY = "in no class folder"
DAMAGED = "damaged"

ROLES = {
    "train": {"train", "training"},
    "validation": {"val", "valid", "validation"},
    "test": {"test", "testing"},
}

# "photo.jpg?w=640", "v1.5" and "Dr. No" end in nothing that tells a format.
_ENDING = re.compile(r"\.[a-z][a-z0-9]*~?")
_PPM = re.compile(rb"P[1-6]\s")
_BMP_HEADER_SIZES = {12, 40, 52, 56, 64, 108, 124}


@dataclass(frozen=True)
class ImageFiles:
    """Images in a folder and the folders below.

    Attributes
    ----------
    paths : list of str
        Sorted within each class.
    labels : list of str
        The class of each.
    empty : list of str
        Classes without any image.
    left_out : dict of str to list of str
        Paths of what is no image, or not taken as one, by the reason.
    """

    paths: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def describe_left_out(self) -> str:
        """Return how much is left out for which reason, or nothing.

        Examples
        --------
        >>> from imgfeat.folders import ImageFiles
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

    Class names are brought to Unicode's form NFC, since one name has another form on macOS; what
    of a name is no Unicode is written with backslashes. Links to folders are followed; what they
    lead to is listed once.

    Raises
    ------
    ValueError
        If there is no such folder.
    """
    root = _check_folder(folder)
    walk = _Walk(root)
    classes: dict[str, str] = {}
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if not entry.is_dir():
            walk.take_file(None, entry.path)
        elif is_system_folder(entry.name):
            walk.leave_out(HIDDEN, entry.path)
        else:
            classes[entry.path] = name_class(entry.name)
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
    root = _check_folder(folder)
    walk = _Walk(root, seen_root=False)
    walk.add_folders([root])
    return ImageFiles(sorted(walk.found.get(root, [])), left_out=walk.left_out)


def find_split(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Return the parts of a folder that is split into training and test images.

    Such a folder holds "train" and "test" (or "training", "val", "valid", "validation", "testing",
    in any case), which hold the class folders. What is inside decides, since there are classes of
    these names as well: the parts have classes in common; or "train" alone has class folders, and
    nothing else is there beside it.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    parts : dict of str to str
        Paths by "train", "validation" and "test", of those that have class folders; empty if the
        folder is not split.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from imgfeat.folders import find_split
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("train/cat", "train/dog", "Test/cat", "Test/dog"):
    ...         (pathlib.Path(folder) / name).mkdir(parents=True)
    ...     sorted(find_split(folder))
    ['test', 'train']
    """
    root = _check_folder(folder)
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
    """Return the only folder in this one, if that holds several: a place too high was given."""
    root = os.fspath(folder)
    inner = _list_subfolders(root)
    path = os.path.join(root, inner[0]) if len(inner) == 1 else None
    return path if path and len(_list_subfolders(path)) > 1 else None


def find_role(name: str) -> str | None:
    """Return whether a folder is named like the part to train, validate or test on."""
    word = re.sub(r"[-_ ]?(set|data|images)$", "", name.strip().lower())
    return next((role for role, words in ROLES.items() if word in words), None)


def find_mixed_roles(files: ImageFiles, folder: str | os.PathLike[str]) -> list[str]:
    """Return the folders below the classes that are split, if every class is: cat/train, cat/test.

    They are taken together, which whoever put them apart may not expect.
    """
    below: dict[str, set[str]] = {}
    for path, label in zip(files.paths, files.labels, strict=True):
        inner = Path(os.path.relpath(path, folder)).parts[1:-1]
        below.setdefault(label, set()).add(inner[0] if inner else "")
    roles = [{find_role(name) for name in names} - {None} for names in below.values()]
    if not roles or any(len(found) < 2 for found in roles):
        return []
    return sorted({name for names in below.values() for name in names if find_role(name)})


def name_class(name: str) -> str:
    r"""Return the name of a class whose folder has this name.

    Examples
    --------
    >>> import os
    >>> from imgfeat.folders import name_class
    >>> name_class("cafe\u0301") == "caf\u00e9", name_class(os.fsdecode(b"caf\xe9"))
    (True, 'caf\\xe9')
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", name)


def is_system_folder(name: str) -> bool:
    """Tell whether a folder is hidden, or one that a system puts beside people's files."""
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


class _Walk:
    """Collects images below folders, each folder once, real ones before linked ones."""

    def __init__(self, root: str, *, seen_root: bool = True):
        self.found: dict[str, list[str]] = {}
        self.left_out: dict[str, list[str]] = {}
        # A link to a folder above would list all classes as one.
        real = Path(os.path.realpath(root))
        above = [*real.parents, *([real] if seen_root else [])]
        self.seen = {_identify(path) for path in above}

    def add_folders(self, tops: Iterable[str]) -> None:
        """Find the images below folders; `found` has them by the folder."""
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
            self.leave_out(TWICE, folder)
            return False
        self.seen.add(key)
        return True

    def _report(self, error: OSError) -> None:
        self.leave_out(CLOSED, os.fspath(error.filename))

    def take_file(self, top: str | None, path: str) -> None:
        """Take a file as an image of a folder, or leave it out; without a folder, leave it out."""
        reason = why_no_image(path)
        if reason is not None:
            self.leave_out(reason, path)
        elif top is None:
            self.leave_out(STRAY, path)
        else:
            self.found.setdefault(top, []).append(path)

    def leave_out(self, reason: str, path: str) -> None:
        """Note what is left out."""
        self.left_out.setdefault(reason, []).append(path)


def why_no_image(path: str) -> str | None:
    """Return why a file is not taken as an image, or None if it is.

    Its ending tells, so that a damaged image is noticed when it is read; where there is none, the
    first bytes do.
    """
    name = os.path.basename(path)
    if name.startswith(".") or name.lower() in SYSTEM_FILES:
        return HIDDEN
    ending = os.path.splitext(name)[1].lower()
    if ending in EXTENSIONS:
        return None
    if ending in UNREAD_EXTENSIONS:
        return f"{ending} ({UNREAD})"
    if _ENDING.fullmatch(ending):
        return ending
    kind = _sniff(path)
    if kind is None:
        return NO_IMAGE
    return None if kind in FORMATS else f"{kind} ({UNREAD})"


def _sniff(path: str) -> str | None:
    """Return the format that the first bytes of a file tell."""
    if not os.path.isfile(path):  # a pipe, say, which would wait for its writer
        return None
    try:
        with open(path, "rb") as file:
            start = file.read(32)
    except OSError:
        return None
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    if _PPM.match(start):
        return "PPM"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12])
    return None


_SIGNATURES: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"8BPS": "PSD",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}
_BRANDS: Mapping[bytes, str] = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"mif1": "HEIC",
    b"msf1": "HEIC",
}


def _check_folder(folder: str | os.PathLike[str]) -> str:
    root = os.fspath(folder)
    if not os.path.isdir(root):
        raise ValueError(f"{root} is not a folder. Give a folder that holds one for each class.")
    return root


def _identify(path: str | Path) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _list_subfolders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [e.name for e in entries if e.is_dir() and not is_system_folder(e.name)]


def _holds_images(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(not entry.is_dir() and why_no_image(entry.path) is None for entry in entries)
