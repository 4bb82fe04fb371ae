"""Read the images and labels of a folder, and print which files are left out."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from imgfeat.images.folders import ImageFiles


def list_folder(
    folder: str, parts: Sequence[str], *, verify: bool
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return paths and labels of a folder; if it is split, of the first of `parts` that exists."""
    from imgfeat.images.datasets import choose_part, list_files

    chosen = choose_part(folder, parts)
    if chosen != folder:
        print(
            f"imgfeat: {folder} is already split: using {chosen}",
            file=sys.stderr,
        )
    files = list_files(chosen, verify=verify)
    _print_left_out(files, chosen)
    return np.array(files.paths), np.array(files.labels)


def list_images(folder: str) -> list[str]:
    """Return the paths of all images in a folder and its subfolders."""
    from imgfeat.images.folders import list_image_files

    files = list_image_files(folder)
    _print_left_out(files, folder)
    return files.paths


def _print_left_out(files: "ImageFiles", folder: str) -> None:
    text = files.describe_left_out()
    if text:
        print(f"imgfeat: {folder}: {text}", file=sys.stderr)
