"""Responses to a bank of Gabor filters."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from imgfeat._base import ImageTransformer
from imgfeat._compat.sklearn import Interval, StrOptions
from imgfeat.features._choices import list_choices
from imgfeat.features._grid import check_grid, name_cells
from imgfeat.images.validation import ImageShape, to_gray

POOLINGS = ("mean", "std", "max")

# Standard deviations from the centre of a filter to its edge, as in scikit-image.
N_DEVIATIONS = 3

# Limits: pixels from the centre of a filter to its edge, and bandwidth in octaves.
MAX_REACH = 10_000
MAX_BANDWIDTH = 10


class Gabor(ImageTransformer):
    """Magnitudes of the responses to Gabor filters, pooled over each cell of a grid [1]_.

    A filter is a wave of one frequency and orientation times a Gaussian, as in
    ``skimage.filters.gabor_kernel``; the magnitude is that of the complex response. Colour
    images are reduced to luma first.

    Parameters
    ----------
    frequencies : sequence of float, default=(0.1, 0.2, 0.4)
        Frequencies of the waves, in periods per pixel, in (0, 0.5].
    orientations : int, default=4
        Number of orientations over 180 degrees. At 0 degrees the wave runs along the rows, at
        90 down the columns.
    bandwidth : float, default=1
        Bandwidth of the filters in octaves, at most 10. A smaller one makes the Gaussian wider.
    pooling : str or sequence of {"mean", "std", "max"}, default=("mean", "std")
        Statistics of the magnitudes in each cell.
    grid : int, default=1
        The image is cut into `grid` x `grid` cells.
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
        If a frequency is out of range or given twice, or an image has fewer than `grid` pixels
        along a side.

    See Also
    --------
    GLCM : Describe texture by pairs of pixels.

    Notes
    -----
    Images are scaled to [0, 1], and mirrored at their borders. Since the Gaussian is isotropic,
    each filter is separable, which saves most of the time.

    References
    ----------
    .. [1] B. S. Manjunath and W. Y. Ma, "Texture Features for Browsing and Retrieval of Image
           Data", IEEE TPAMI 18(8), 1996, :doi:`10.1109/34.531803`.

    Examples
    --------
    >>> from skimage.data import brick
    >>> from imgfeat import Gabor
    >>> patches = brick().reshape(8, 64, 8, 64).swapaxes(1, 2).reshape(64, 64, 64)
    >>> gabor = Gabor().fit(patches)
    >>> gabor.transform(patches).shape
    (64, 24)
    >>> gabor.get_feature_names_out()[[0, 3, 23]].tolist()
    ['gabor_f0.1_t0_y0_x0_mean', 'gabor_f0.1_t45_y0_x0_std', 'gabor_f0.4_t135_y0_x0_std']
    """

    _parameter_constraints = {
        **ImageTransformer._parameter_constraints,
        "frequencies": ["array-like"],
        "orientations": [Interval(Integral, 1, None, closed="left")],
        "bandwidth": [Interval(Real, 0, MAX_BANDWIDTH, closed="right")],
        "pooling": [StrOptions(set(POOLINGS)), "array-like"],
        "grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        frequencies: Sequence[float] = (0.1, 0.2, 0.4),
        orientations: int = 4,
        bandwidth: float = 1,
        pooling: str | Sequence[str] = ("mean", "std"),
        grid: int = 1,
        image_shape: ImageShape | None = None,
        n_jobs: int | None = None,
    ):
        self.frequencies = frequencies
        self.orientations = orientations
        self.bandwidth = bandwidth
        self.pooling = pooling
        self.grid = grid
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def _list_frequencies(self) -> list[float]:
        values = [float(value) for value in self.frequencies]
        valid = all(isinstance(value, Real) and 0 < value <= 0.5 for value in values)
        if not values or not valid or len(set(values)) < len(values):
            raise ValueError(
                "frequencies must be one or more different numbers in (0, 0.5], in periods per "
                f"pixel, got {self.frequencies!r}."
            )
        return values

    def _list_poolings(self) -> list[str]:
        return list_choices("pooling", self.pooling, POOLINGS)

    def _count_features(self, height: int, width: int) -> int:
        check_grid("Gabor", self.grid, height, width)
        n_filters = len(self._list_frequencies()) * int(self.orientations)
        return n_filters * int(self.grid) ** 2 * len(self._list_poolings())

    def _name_features(self, height: int, width: int) -> list[str]:
        orientations = int(self.orientations)
        degrees = [f"{180 * k / orientations:.4g}" for k in range(orientations)]
        return [
            f"gabor_f{frequency:g}_t{degree}_{cell}_{pooling}"
            for frequency in self._list_frequencies()
            for degree in degrees
            for cell in name_cells(int(self.grid))
            for pooling in self._list_poolings()
        ]

    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        unit = 255 if images.dtype == np.uint8 else 1
        orientations, bandwidth = int(self.orientations), float(self.bandwidth)
        filters = [
            split_gabor(frequency, np.pi * k / orientations, bandwidth)
            for frequency in self._list_frequencies()
            for k in range(orientations)
        ]
        poolings = self._list_poolings()
        for gray, row in zip(to_gray(images), out, strict=True):
            image = gray.astype(np.float32) / np.float32(unit)
            parts = [pool(respond(image, each), int(self.grid), poolings) for each in filters]
            row[:] = np.concatenate(parts)


class SplitFilter(NamedTuple):
    """A separable complex filter: its factors along the rows and down the columns."""

    across: NDArray[np.complex128]
    down: NDArray[np.complex128]


def split_gabor(frequency: float, angle: float, bandwidth: float) -> SplitFilter:
    """Return the factors of a Gabor filter, whose outer product is scikit-image's kernel.

    Parameters
    ----------
    frequency : float
        Frequency in periods per pixel.
    angle : float
        Angle in radians.
    bandwidth : float
        Bandwidth in octaves.
    """
    octaves = 2.0**bandwidth
    with np.errstate(divide="ignore"):
        deviation = np.sqrt(np.log(2) / 2) / np.pi * (octaves + 1) / (octaves - 1) / frequency
    sine, cosine = np.sin(angle), np.cos(angle)
    length = max(N_DEVIATIONS * deviation * max(abs(sine), abs(cosine)), 1)
    if length > MAX_REACH:
        raise ValueError(
            f"A filter of the frequency {frequency!r} with bandwidth={bandwidth!r} reaches "
            f"{length:.3g} pixels from its centre, more than {MAX_REACH}. Use a higher frequency "
            "or a larger bandwidth."
        )
    reach = int(np.ceil(length))
    places = np.arange(-reach, reach + 1)
    bell = np.exp(-(places**2) / (2 * deviation**2)) / (np.sqrt(2 * np.pi) * deviation)
    wave = 2j * np.pi * frequency * places
    return SplitFilter(bell * np.exp(wave * cosine), bell * np.exp(wave * sine))


def respond(image: NDArray[np.float32], split: SplitFilter) -> NDArray[np.float32]:
    """Return the modulus of the response of an image (h, w) to a filter."""

    def correlate(across: NDArray[Any], down: NDArray[Any]) -> NDArray[np.float32]:
        filtered = cv2.sepFilter2D(image, cv2.CV_32F, across, down, borderType=cv2.BORDER_REFLECT)
        return np.asarray(filtered, np.float32)

    # A correlation suffices: a convolution would only conjugate the response.
    across, down = split
    real = correlate(across.real, down.real) - correlate(across.imag, down.imag)
    imaginary = correlate(across.real, down.imag) + correlate(across.imag, down.real)
    return np.asarray(cv2.magnitude(real, imaginary), np.float32)


def pool(response: NDArray[np.float32], grid: int, poolings: Sequence[str]) -> list[float]:
    """Return the given statistics of each cell, row by row."""
    height, width = response.shape
    pooled = []
    for y in range(grid):
        for x in range(grid):
            cell = response[
                y * height // grid : (y + 1) * height // grid,
                x * width // grid : (x + 1) * width // grid,
            ]
            mean, deviation = cv2.meanStdDev(cell)
            found = {"mean": mean[0, 0], "std": deviation[0, 0], "max": cell.max()}
            pooled += [float(found[name]) for name in poolings]
    return pooled
