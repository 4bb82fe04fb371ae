"""Image data sets: class folders, samples of scikit-image and scikit-learn, Fashion-MNIST."""

from imgfeat.images.datasets.class_folders import choose_part, list_files, list_images, load_folder
from imgfeat.images.datasets.fashion_mnist import FASHION_MNIST_FOLDER, load_fashion_mnist
from imgfeat.images.datasets.file_problems import FileProblem, find_problems
from imgfeat.images.datasets.shipped import load_digits, load_faces, load_textures
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
