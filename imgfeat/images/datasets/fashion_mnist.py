"""Fashion-MNIST, from the files of a Debian package or from OpenML."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from imgfeat.images.datasets.shipped import Subset, check_subset

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


def load_fashion_mnist(
    subset: Subset = "train", *, folder: str | os.PathLike[str] = FASHION_MNIST_FOLDER
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
                check_subset(subset)
            ]
        ]
        images = np.concatenate([part[0] for part in parts])
        codes = np.concatenate([part[1] for part in parts])
    else:
        images, codes = _fetch_fashion_mnist(check_subset(subset))
    return Bunch(images=images, target=np.array(FASHION_MNIST_NAMES)[codes])


def _fetch_fashion_mnist(subset: Subset) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from sklearn.datasets import fetch_openml

    pixels, labels = fetch_openml("Fashion-MNIST", version=1, return_X_y=True, as_frame=False)
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    rows = {"train": slice(60000), "test": slice(60000, None), "all": slice(None)}[subset]
    return images[rows], labels.astype(int)[rows]


def _read_idx(folder: str | os.PathLike[str], stem: str) -> NDArray[np.uint8]:
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
