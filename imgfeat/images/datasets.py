"""Image data sets: class folders, samples of scikit-image and scikit-learn, Fashion-MNIST."""

import gzip
import os
import struct
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from imgfeat.images.decoding import ImageReadError, find_damage, read_image
from imgfeat.images.files import EXTENSIONS, UNREAD
from imgfeat.images.folders import DAMAGED, ImageFiles, list_class_folders, list_image_files
from imgfeat.images.splits import find_class_folders, find_mixed_roles, find_split

FASHION_MNIST_FOLDER = "/usr/share/datasets/fashion-mnist"
FASHION_MNIST_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

Subset = Literal["train", "test", "all"]


def load_folder(
    folder: str | os.PathLike, *, verify: bool = False
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


def list_files(folder: str | os.PathLike, *, verify: bool = False) -> ImageFiles:
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


class FileProblem(NamedTuple):
    """A problem with an image file.

    Attributes
    ----------
    cause : str
        A sentence that names the file and the problem.
    readable : bool
        Whether the file can be read despite the problem, and may be intact.
    """

    cause: str
    readable: bool


def find_problems(paths: Sequence[str]) -> Iterator[FileProblem | None]:
    """Decode image files in several threads and report the problem with each, if any.

    Parameters
    ----------
    paths : sequence of str

    Yields
    ------
    problem : FileProblem or None
        None if no problem was found.

    Examples
    --------
    >>> from imgfeat.datasets import find_problems
    >>> list(find_problems(["absent.png"]))
    [FileProblem(cause='Cannot read image absent.png: no such file.', readable=False)]
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_find_problem, paths)


def load_textures(subset: Subset = "all", *, patch_size: int = 64, fold: int = 0) -> Bunch:
    """Cut scikit-image's pictures of brick, grass and gravel into patches.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="all"
        Train and test patches come from opposite halves of each picture: no pixel is in both.
    patch_size : int, default=64
        Side of a patch in pixels; patches do not overlap. At most 256.
    fold : {0, 1, 2, 3}, default=0
        Which half is the training half: left, right, upper or lower.

    Returns
    -------
    bunch : Bunch
        ``images`` (n, patch_size, patch_size) uint8, ``target`` (n,) str.

    Examples
    --------
    >>> from imgfeat.datasets import load_textures
    >>> load_textures("train").images.shape
    (96, 64, 64)
    """
    from skimage import data

    if not 1 <= patch_size <= 256:
        raise ValueError(f"patch_size must be in 1..256, got {patch_size}.")
    if fold not in (0, 1, 2, 3):
        raise ValueError(f"fold must be 0, 1, 2 or 3, got {fold}.")
    images, target = [], []
    for name in ("brick", "grass", "gravel"):
        for half in _choose_halves(getattr(data, name)(), _check_subset(subset), fold):
            patches = _cut(half, patch_size)
            images.append(patches)
            target += [name] * len(patches)
    return Bunch(images=np.concatenate(images), target=np.array(target))


def load_faces() -> Bunch:
    """Return scikit-image's subset of Labelled Faces in the Wild: faces and other images.

    Returns
    -------
    bunch : Bunch
        ``images`` (200, 25, 25) float64 in [0, 1], ``target`` (200,) str.
    """
    from skimage import data

    target = np.repeat(np.array(["face", "other"]), 100)
    return Bunch(images=np.clip(data.lfw_subset(), 0, 1), target=target)


def load_digits() -> Bunch:
    """Return scikit-learn's handwritten digits.

    Returns
    -------
    bunch : Bunch
        ``images`` (1797, 8, 8) float64 in [0, 1], ``target`` (1797,) str.
    """
    from sklearn import datasets

    digits = datasets.load_digits()
    return Bunch(images=digits.images / 16, target=digits.target.astype(str))


def load_fashion_mnist(
    subset: Subset = "train", *, folder: str | os.PathLike = FASHION_MNIST_FOLDER
) -> Bunch:
    """Return Fashion-MNIST in its official split [1]_.

    Reads the IDX files that Debian's package dataset-fashion-mnist installs; where they are
    absent, downloads the data set with ``sklearn.datasets.fetch_openml``.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        60,000, 10,000 or all 70,000 images.
    folder : path-like, default="/usr/share/datasets/fashion-mnist"
        Where the IDX files are, compressed or not.

    Returns
    -------
    bunch : Bunch
        ``images`` (n, 28, 28) uint8, ``target`` (n,) str.

    References
    ----------
    .. [1] H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for
           Benchmarking Machine Learning Algorithms", 2017, arXiv:1708.07747.
    """
    if Path(folder).is_dir():
        parts = [
            (_read_idx(folder, f"{kind}-images-idx3"), _read_idx(folder, f"{kind}-labels-idx1"))
            for kind in {"train": ["train"], "test": ["t10k"], "all": ["train", "t10k"]}[
                _check_subset(subset)
            ]
        ]
        images = np.concatenate([part[0] for part in parts])
        codes = np.concatenate([part[1] for part in parts])
    else:
        images, codes = _fetch_fashion_mnist(_check_subset(subset))
    return Bunch(images=images, target=np.array(FASHION_MNIST_NAMES)[codes])


def _fetch_fashion_mnist(subset: Subset) -> tuple[NDArray, NDArray]:
    from sklearn.datasets import fetch_openml

    pixels, labels = fetch_openml("Fashion-MNIST", version=1, return_X_y=True, as_frame=False)
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    rows = {"train": slice(60000), "test": slice(60000, None), "all": slice(None)}[subset]
    return images[rows], labels.astype(int)[rows]


def _read_idx(folder: str | os.PathLike, stem: str) -> NDArray[np.uint8]:
    for name in (f"{stem}-ubyte", f"{stem}-ubyte.gz"):
        path = Path(folder) / name
        if path.is_file():
            data = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
            break
    else:
        raise ValueError(f"{folder} holds no {stem}-ubyte(.gz). Is it Fashion-MNIST's folder?")
    zero, kind, n_dims = struct.unpack(">HBB", data[:4])
    if zero != 0 or kind != 8:
        raise ValueError(f"{path} is not an IDX file of bytes.")
    shape = struct.unpack(f">{n_dims}I", data[4 : 4 + 4 * n_dims])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * n_dims).reshape(shape)


def _find_problem(path: str) -> FileProblem | None:
    damage = find_damage(path)
    if damage is None:
        return None
    try:
        read_image(path)
    except ImageReadError as error:
        return FileProblem(str(error), readable=False)
    return FileProblem(f"{path}: {damage}", readable=True)


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


def _check_classes(files: ImageFiles, folder: str | os.PathLike, kind: str) -> None:
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


def _check_subset(subset: Subset) -> Subset:
    if subset not in ("train", "test", "all"):
        raise ValueError(f"subset must be 'train', 'test' or 'all', got {subset!r}.")
    return subset


def _choose_halves(picture: NDArray, subset: Subset, fold: int) -> list[NDArray]:
    halves = np.array_split(picture, 2, axis=1 if fold < 2 else 0)
    first, second = halves if fold % 2 == 0 else halves[::-1]
    return {"train": [first], "test": [second], "all": [first, second]}[subset]


def _cut(picture: NDArray, size: int) -> NDArray:
    rows, cols = picture.shape[0] // size, picture.shape[1] // size
    tiles = picture[: rows * size, : cols * size].reshape(rows, size, cols, size)
    return tiles.swapaxes(1, 2).reshape(rows * cols, size, size)
