"""Local descriptors: patches, SIFT and ORB, on a regular lattice or at detected keypoints."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from imgfeat.features._words_kernel import cut_patches
from imgfeat.images.validation import to_gray, to_uint8

# Coates and Ng's constant, which limits noise in flat patches, in grey levels squared.
CONTRAST_CONSTANT = 10.0

# Width of ORB's pattern in OpenCV.
ORB_SIZE = 31

LENGTHS = {"sift": 128, "orb": 256}

# Minimal number of descriptors sampled from an image, since a further image takes more time than
# a further descriptor.
MIN_SAMPLES_PER_IMAGE = 16

# Number of descriptors in a block while sampling.
SAMPLE_BLOCK = 1 << 13


class DescriptorBlock(NamedTuple):
    """Some descriptors of one image, and their positions on its lattice, counted row by row."""

    descriptors: NDArray[np.float32]
    places: slice | NDArray[np.int64]


class Describer(Protocol):
    """Protocol of extractors of local descriptors.

    Attributes
    ----------
    length : int
        Length of a descriptor.
    """

    length: int

    def measure(self, height: int, width: int) -> tuple[int, int]:
        """Return rows and columns of the lattice; raise ValueError where the image is too small."""

    def describe(self, image: NDArray[Any], at_once: int) -> Iterator[DescriptorBlock]:
        """Yield the descriptors of one image (h, w, c), at most about `at_once` at a time."""


def choose_describer(
    kind: str, patch_size: int, stride: int, color: bool, keypoints: str
) -> Describer:
    """Return the describer of these parameters; see `imgfeat.BagOfVisualWords`.

    Raises
    ------
    ValueError
        If the parameters cannot be combined.
    """
    if kind == "patch":
        if keypoints != "dense":
            raise ValueError(
                f"keypoints={keypoints!r} needs descriptor='sift' or 'orb', got "
                "descriptor='patch'. Use keypoints='dense' or another descriptor."
            )
        return Patches(patch_size, stride, 3 if color else 1)
    if color:
        raise ValueError(
            f"color=True needs descriptor='patch', got descriptor={kind!r}, which describes "
            "luma. Use color=False or descriptor='patch'."
        )
    size = ORB_SIZE if kind == "orb" else patch_size
    if keypoints == "dense":
        return DenseKeypoints(kind, size, stride)
    return DetectedKeypoints(kind)


class Patches:
    """All patches on a lattice, each minus its mean and divided by its standard deviation."""

    def __init__(self, size: int, stride: int, channels: int):
        self.size = size
        self.stride = stride
        self.channels = channels
        self.length = size**2 * channels

    def measure(self, height: int, width: int) -> tuple[int, int]:
        return _measure_lattice(height, width, self.size, self.stride, "patch_size")

    def describe(self, image: NDArray[Any], at_once: int) -> Iterator[DescriptorBlock]:
        n_rows, n_columns = self.measure(*image.shape[:2])
        if self.channels == 1:
            image = to_gray(image[np.newaxis])[0][..., np.newaxis]
        n_blocks = -(-n_rows * n_columns // at_once)
        step = max(1, -(-n_rows // n_blocks))
        for start in range(0, n_rows, step):
            count = min(step, n_rows - start)
            patches = np.empty((count, n_columns, self.length), np.float32)
            cut_patches(
                image[start * self.stride :],
                self.size,
                self.stride,
                self.channels,
                CONTRAST_CONSTANT,
                patches,
            )
            places = slice(start * n_columns, (start + count) * n_columns)
            yield DescriptorBlock(patches.reshape(-1, self.length), places)


class DenseKeypoints:
    """Upright SIFT or ORB descriptors at every point of a lattice."""

    def __init__(self, kind: str, size: int, stride: int):
        self.kind = kind
        self.size = size
        self.stride = stride
        # The border is 0, since the points of the lattice keep their distance from the edges.
        self.length = LENGTHS[kind]
        self.engine = _create_engine(kind, 0)

    def measure(self, height: int, width: int) -> tuple[int, int]:
        name = "patch_size" if self.kind == "sift" else "ORB's patch_size"
        return _measure_lattice(height, width, self.size, self.stride, name)

    def describe(self, image: NDArray[Any], at_once: int) -> Iterator[DescriptorBlock]:
        n_rows, n_columns = self.measure(*image.shape[:2])
        # Whole pixels, since OpenCV rounds positions, and halves to even numbers.
        middle = self.size // 2
        # OpenCV's SIFT has 4 x 4 cells that are 1.5 times as wide as the keypoint's size.
        size = self.size / 6 if self.kind == "sift" else self.size
        keypoints = [
            cv2.KeyPoint(float(x * self.stride + middle), float(y * self.stride + middle), size, 0)
            for y in range(n_rows)
            for x in range(n_columns)
        ]
        found, descriptors = self.engine.compute(_to_gray_uint8(image), keypoints)
        if len(found) != len(keypoints):
            raise RuntimeError(f"OpenCV left out {len(keypoints) - len(found)} keypoints.")
        yield from _cut(_as_vectors(descriptors, self.kind), np.arange(len(found)), at_once)


class DetectedKeypoints:
    """SIFT or ORB descriptors at detected keypoints, of which an image may have none."""

    def __init__(self, kind: str):
        self.kind = kind
        self.length = LENGTHS[kind]
        self.engine = _create_engine(kind, ORB_SIZE // 2)

    def measure(self, height: int, width: int) -> tuple[int, int]:
        if self.kind == "orb":
            _measure_lattice(height, width, ORB_SIZE, 1, "ORB's patch_size")
        return height, width

    def describe(self, image: NDArray[Any], at_once: int) -> Iterator[DescriptorBlock]:
        found, descriptors = self.engine.detectAndCompute(_to_gray_uint8(image), None)
        if len(found) == 0:
            return
        columns, rows = np.array([keypoint.pt for keypoint in found]).astype(np.int64).T
        places = rows * image.shape[1] + columns
        yield from _cut(_as_vectors(descriptors, self.kind), places, at_once)


def number_cells(n_rows: int, n_columns: int, grids: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the cell of every point of a lattice in each grid.

    Returns
    -------
    cells : ndarray of shape (n_rows * n_columns, len(grids)), dtype int64
        Cells of all grids are numbered in one sequence. Points are distributed evenly over them.
    """
    first = np.cumsum([0, *(grid**2 for grid in grids)])
    cells = np.empty((n_rows, n_columns, len(grids)), np.int64)
    for level, grid in enumerate(grids):
        row = (2 * np.arange(n_rows) + 1) * grid // (2 * n_rows)
        column = (2 * np.arange(n_columns) + 1) * grid // (2 * n_columns)
        cells[..., level] = first[level] + row[:, np.newaxis] * grid + column
    return cells.reshape(-1, len(grids))


def sample_descriptors(
    images: NDArray[Any],
    describer: Describer,
    n_samples: int,
    random: RandomState,
    n_threads: int,
) -> NDArray[np.float32]:
    """Return at most `n_samples` descriptors, chosen at random.

    The same number is sampled from every image, at least 16, so that not all of many images are
    used.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c)
        Result of `check_images`.
    describer : Describer
    n_samples : int
        If there are fewer descriptors, all are returned.
    random : RandomState
    n_threads : int

    Returns
    -------
    descriptors : ndarray of shape (m, d), dtype float32
    """
    quota = max(MIN_SAMPLES_PER_IMAGE, -(-n_samples // len(images)))
    chosen = random.permutation(len(images))[: -(-n_samples // quota)]
    seeds = random.randint(np.iinfo(np.int32).max, size=len(chosen))

    def sample(number: int, seed: int) -> NDArray[np.float32]:
        draw = RandomState(seed)
        kept, keys = np.empty((0, describer.length), np.float32), np.empty(0)
        for descriptors, _ in describer.describe(images[number], SAMPLE_BLOCK):
            kept = np.concatenate([kept, descriptors])
            keys = np.concatenate([keys, draw.random_sample(len(descriptors))])
            lowest = np.argsort(keys)[:quota]
            kept, keys = kept[lowest], keys[lowest]
        return kept

    with ThreadPoolExecutor(n_threads) as pool:
        return np.concatenate(list(pool.map(sample, chosen, seeds)))[:n_samples]


def _measure_lattice(height: int, width: int, size: int, stride: int, name: str) -> tuple[int, int]:
    if min(height, width) < size:
        raise ValueError(
            f"{name}={size} needs images of at least {size} x {size} pixels, got {height} x "
            f"{width}. Enlarge the images, for example with ImageLoader, or use smaller "
            "patches."
        )
    return (height - size) // stride + 1, (width - size) // stride + 1


def _cut(
    descriptors: NDArray[np.float32], places: NDArray[np.int64], at_once: int
) -> Iterator[DescriptorBlock]:
    for start in range(0, len(descriptors), at_once):
        span = slice(start, start + at_once)
        yield DescriptorBlock(descriptors[span], places[span])


def _create_engine(kind: str, border: int) -> Any:
    # OpenCV's type information lacks these functions.
    library: Any = cv2
    return library.SIFT_create() if kind == "sift" else library.ORB_create(edgeThreshold=border)


def _to_gray_uint8(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(to_uint8(to_gray(image[np.newaxis]))[0])


def _as_vectors(descriptors: NDArray[Any], kind: str) -> NDArray[np.float32]:
    """Return RootSIFT [Arandjelovic and Zisserman 2012], or ORB's bits as numbers."""
    if kind == "orb":
        return np.unpackbits(descriptors, axis=1).astype(np.float32)
    total = descriptors.sum(axis=1, keepdims=True)
    return np.sqrt(descriptors / np.maximum(total, 1))
