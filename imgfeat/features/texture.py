"""Properties of grey-level co-occurrence matrices."""

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._base import ImageTransformer
from imgfeat._compat.sklearn import Interval, StrOptions
from imgfeat.features._choices import list_choices
from imgfeat.features._glcm_kernel import PROPERTIES, glcm_properties
from imgfeat.features._grid import check_grid, name_cells
from imgfeat.images.validation import ImageShape, to_gray, to_uint8

# Larger than any image; keeps offsets in the range of int64.
MAX_DISTANCE = 1_000_000


class GLCM(ImageTransformer):
    """Properties of the grey-level co-occurrence matrices of each cell of a grid [1]_.

    A matrix counts how often a pixel of one grey level lies at a given distance and angle from a
    pixel of another. The numbers are those of ``skimage.feature.graycoprops``. Colour images are
    reduced to luma first.

    Parameters
    ----------
    levels : int, default=16
        Number of equal intervals into which the grey levels 0 to 255 are divided; 2 to 256.
    distances : sequence of float, default=(1,)
        Distances between the pixels of a pair, at least 1 pixel; offsets are rounded to whole rows
        and columns.
    angles : sequence of float, default=(0, pi / 4, pi / 2, 3 * pi / 4)
        Angles in radians. As in scikit-image, 0 is to the right, pi / 4 to the lower right and
        pi / 2 below.
    properties : str or sequence of str, default=("contrast", "dissimilarity", "homogeneity", \
            "energy", "correlation", "entropy")
        Any of those, and of "ASM", "mean", "variance" and "std".
    symmetric : bool, default=True
        Whether to count each pair in both directions, so that opposite angles are equivalent.
    average : bool, default=False
        Whether to average over the angles, for invariance to rotation.
    grid : int, default=1
        The image is cut into `grid` x `grid` cells, with the matrices of each; pairs across the
        cells' edges are not counted.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image, for flat input of shape (n, h * w * c).
    n_jobs : int, default=None
        Number of threads; None is 1 unless in a ``joblib.parallel_config`` context, -1 all cores.

    Attributes
    ----------
    image_shape_ : tuple (h, w, c)
        Shape of the images seen in `fit`.
    n_features_in_ : int
        Number of pixels; only for flat input.

    Raises
    ------
    ValueError
        If a list is empty or has duplicates, a property is unknown, or a cell is too small for a
        distance.

    See Also
    --------
    LBP : Describe texture by the patterns around each pixel.
    Gabor : Describe texture by frequencies.

    Notes
    -----
    Floating-point images are rounded to 8 bits. Levels are numbered from 0, and
    contrast, mean and the like are in units of these levels. A cell with only one level has the
    correlation 1.

    References
    ----------
    .. [1] R. M. Haralick, K. Shanmugam and I. Dinstein, "Textural Features for Image
           Classification", IEEE Transactions on Systems, Man, and Cybernetics 3(6), 1973,
           :doi:`10.1109/TSMC.1973.4309314`.

    Examples
    --------
    >>> from skimage.data import brick
    >>> from imgfeat import GLCM
    >>> patches = brick().reshape(8, 64, 8, 64).swapaxes(1, 2).reshape(64, 64, 64)
    >>> glcm = GLCM(distances=(1, 3), properties=("contrast", "entropy")).fit(patches)
    >>> glcm.transform(patches).shape
    (64, 16)
    >>> glcm.get_feature_names_out()[[0, 1, 15]].tolist()
    ['glcm_y0_x0_contrast_d1_a0', 'glcm_y0_x0_contrast_d1_a45', 'glcm_y0_x0_entropy_d3_a135']
    """

    _parameter_constraints = {
        **ImageTransformer._parameter_constraints,
        "levels": [Interval(Integral, 2, 256, closed="both")],
        "distances": ["array-like"],
        "angles": ["array-like"],
        "properties": [StrOptions(set(PROPERTIES)), "array-like"],
        "symmetric": ["boolean"],
        "average": ["boolean"],
        "grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        levels: int = 16,
        distances: Sequence[float] = (1,),
        angles: Sequence[float] = (0, math.pi / 4, math.pi / 2, 3 * math.pi / 4),
        properties: str | Sequence[str] = (
            "contrast",
            "dissimilarity",
            "homogeneity",
            "energy",
            "correlation",
            "entropy",
        ),
        symmetric: bool = True,
        average: bool = False,
        grid: int = 1,
        image_shape: ImageShape | None = None,
        n_jobs: int | None = None,
    ):
        self.levels = levels
        self.distances = distances
        self.angles = angles
        self.properties = properties
        self.symmetric = symmetric
        self.average = average
        self.grid = grid
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def _list_properties(self) -> list[str]:
        return list_choices("properties", self.properties, PROPERTIES)

    def _name_pairs(self) -> list[str]:
        """Name distances and angles, in the order of `_offsets`."""
        distances = [f"d{d:.4g}" for d in _check_numbers("distances", self.distances)]
        angles = [f"a{math.degrees(a):.4g}" for a in _check_numbers("angles", self.angles)]
        if self.average:
            return distances
        return [f"{distance}_{angle}" for distance in distances for angle in angles]

    def _offsets(self) -> NDArray[np.int64]:
        """Return the offsets in rows and columns of all pairs, (distances * angles, 2)."""
        distances = _check_numbers("distances", self.distances)
        if distances.min() < 1:
            raise ValueError(f"distances must be at least 1 pixel, got {self.distances!r}.")
        if distances.max() > MAX_DISTANCE:
            raise ValueError(
                f"distances must be at most {MAX_DISTANCE} pixels, got {self.distances!r}."
            )
        angles = _check_numbers("angles", self.angles)
        rows = np.outer(distances, np.sin(angles)).ravel()
        columns = np.outer(distances, np.cos(angles)).ravel()
        exact = np.stack([rows, columns], axis=1)
        # Halves are rounded away from zero, as in scikit-image's C code.
        return (np.sign(exact) * np.floor(np.abs(exact) + 0.5)).astype(np.int64)

    def _count_features(self, height: int, width: int) -> int:
        check_grid("GLCM", self.grid, height, width)
        reach = np.abs(self._offsets()).max(axis=0)
        needed = int(self.grid) * (reach + 1)
        if height < needed[0] or width < needed[1]:
            raise ValueError(
                f"GLCM with distances={self.distances!r} and grid={self.grid} needs images of at "
                f"least {needed[0]} x {needed[1]} pixels, got {height} x {width}. Enlarge the "
                "images, or use shorter distances or a coarser grid."
            )
        return int(self.grid) ** 2 * len(self._list_properties()) * len(self._name_pairs())

    def _name_features(self, height: int, width: int) -> list[str]:
        return [
            f"glcm_{cell}_{name}_{pair}"
            for cell in name_cells(int(self.grid))
            for name in self._list_properties()
            for pair in self._name_pairs()
        ]

    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        grays = to_uint8(to_gray(images))
        grays.flags.writeable = False
        offsets = self._offsets()
        cells = int(self.grid) ** 2
        found = np.empty((len(grays), cells, len(offsets), len(PROPERTIES)))
        glcm_properties(
            grays, int(self.levels), offsets, bool(self.symmetric), int(self.grid), found
        )
        chosen = found[..., [PROPERTIES.index(name) for name in self._list_properties()]]
        chosen = np.moveaxis(chosen, 3, 2)
        if self.average:
            by_angle = (*chosen.shape[:3], len(self.distances), len(self.angles))
            chosen = chosen.reshape(by_angle).mean(axis=4)
        out[:] = chosen.reshape(out.shape)


def _check_numbers(name: str, values: Sequence[float]) -> NDArray[np.float64]:
    numbers = list(values)
    if not numbers or not all(isinstance(v, Real) and math.isfinite(v) for v in numbers):
        raise ValueError(f"{name} must be a sequence of one or more numbers, got {values!r}.")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} must all be different, got {values!r}.")
    return np.array(numbers, dtype=np.float64)
