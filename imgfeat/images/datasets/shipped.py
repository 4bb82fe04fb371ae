"""Data sets made of images that scikit-image and scikit-learn ship."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

Subset = Literal["train", "test", "all"]


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
        for half in _choose_halves(getattr(data, name)(), check_subset(subset), fold):
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


def check_subset(subset: Subset) -> Subset:
    """Return a subset's name, after checking that it is one."""
    if subset not in ("train", "test", "all"):
        raise ValueError(f"subset must be 'train', 'test' or 'all', got {subset!r}.")
    return subset


def _choose_halves(
    picture: NDArray[np.uint8], subset: Subset, fold: int
) -> list[NDArray[np.uint8]]:
    halves = np.array_split(picture, 2, axis=1 if fold < 2 else 0)
    first, second = halves if fold % 2 == 0 else halves[::-1]
    return {"train": [first], "test": [second], "all": [first, second]}[subset]


def _cut(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    rows, cols = picture.shape[0] // size, picture.shape[1] // size
    tiles = picture[: rows * size, : cols * size].reshape(rows, size, cols, size)
    return tiles.swapaxes(1, 2).reshape(rows * cols, size, size)
