"""Images and labels from folders, and data sets shipped with other packages."""

from imgfeat.images.datasets import (
    FASHION_MNIST_FOLDER,
    FileProblem,
    choose_part,
    find_problems,
    list_files,
    list_images,
    load_digits,
    load_faces,
    load_fashion_mnist,
    load_folder,
    load_textures,
)
from imgfeat.images.splits import find_split

__all__ = [
    "FASHION_MNIST_FOLDER",
    "FileProblem",
    "choose_part",
    "find_problems",
    "find_split",
    "list_files",
    "list_images",
    "load_digits",
    "load_faces",
    "load_fashion_mnist",
    "load_folder",
    "load_textures",
]
