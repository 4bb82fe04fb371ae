"""Local binary patterns."""

import functools
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgfeat._base import ImageTransformer
from imgfeat._compat.sklearn import Interval, StrOptions, validate_params
from imgfeat.features._device import DEVICES, is_accelerated, run_graph
from imgfeat.features._grid import check_grid, name_cells
from imgfeat.features._lbp_kernel import (
    VARIANCE_BINS,
    lbp_codes,
    lbp_histograms,
    neighbour_table,
    variance_histograms,
    variance_map,
    working_rows,
)
from imgfeat.features._lbp_labels import (
    METHODS,
    bin_table,
    count_labels,
    label_table,
    rotation_minima,
)
from imgfeat.images.validation import ImageShape, check_one_image, to_gray

# Limits of the memory for the table of all codes and, for "default", for the features.
MAX_POINTS = {"default": 16, "ror": 16, "uniform": 24, "nri_uniform": 24, "var": 64}

# The kernel pads rows of an image by the radius on all sides.
MAX_RADIUS = 1000


class LBP(ImageTransformer):
    """Normalised histograms of local binary patterns, one for each cell of a grid [1]_.

    Each pixel is compared with `n_points` neighbours on a circle around it, computed by bilinear
    interpolation; each neighbour that is not darker sets a bit of the pixel's code. The codes are
    those of ``skimage.feature.local_binary_pattern``, computed tens of times faster. Colour
    images are reduced to luma first. For several radii, combine several LBP in a ``FeatureUnion``.

    Parameters
    ----------
    n_points : int, default=8
        Number of neighbours; at most 16 for "default" and "ror", 24 for the uniform methods.
    radius : float, default=1
        Radius of the circle in pixels, at most 1000.
    method : {"default", "ror", "uniform", "nri_uniform", "var"}, default="uniform"
        How codes become labels, each of which is a bin of the histogram:

        - "default": the code itself (``2 ** n_points`` bins);
        - "ror": the smallest rotation of the code (rotation invariant);
        - "uniform": the number of bits set if they are in one run, one label for all other codes
          (``n_points + 2`` bins, rotation invariant);
        - "nri_uniform": as "uniform", with the position of the run
          (``n_points * (n_points - 1) + 3`` bins);
        - "var": instead of the code, the variance of the neighbours, a measure of contrast, in one
          bin per octave of 8-bit grey levels squared (15 bins: below 1, 1 to 2, 2 to 4, ...).
    grid : int, default=1
        The image is cut into `grid` x `grid` cells, with a histogram of each.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image, for flat input of shape (n, h * w * c).
    n_jobs : int, default=None
        Number of threads; None is 1 unless in a ``joblib.parallel_config`` context, -1 all cores.
    device : {"cpu", "cuda", "cuda:0", ..., "cuda:7"}, default=None
        Where to compute: None and "cpu" run the compiled kernel; a GPU runs a graph in ONNX
        Runtime, for uint8 images; see `HOG`.

    Attributes
    ----------
    image_shape_ : tuple (h, w, c)
        Shape of the images seen in `fit`.
    n_features_in_ : int
        Number of pixels; only for flat input.

    Raises
    ------
    ValueError
        If `n_points` is too large for `method`, or an image has fewer than `grid` pixels
        along a side. If `device` is not available, or is a GPU and images are floating point.

    See Also
    --------
    local_binary_pattern : Compute the label of every pixel.
    HOG : Describe shape instead of texture.

    Notes
    -----
    A neighbour is "not darker" if it exceeds the centre minus 1e-9, so equal pixels always set the
    bit. scikit-image compares without that margin, and rounding in its interpolation can decide
    such ties the other way, even in flat regions: those are the only pixels where the codes
    differ. As in scikit-image, pixels outside the image are 0.

    The first call in a new environment compiles the kernel for a few seconds; the result is cached
    on disk (see `HOG`).

    References
    ----------
    .. [1] T. Ojala, M. Pietikäinen and T. Mäenpää, "Multiresolution Gray-Scale and Rotation
           Invariant Texture Classification with Local Binary Patterns", IEEE TPAMI 24(7), 2002,
           :doi:`10.1109/TPAMI.2002.1017623`.

    Examples
    --------
    >>> from skimage.data import brick
    >>> from imgfeat import LBP
    >>> patches = brick().reshape(8, 64, 8, 64).swapaxes(1, 2).reshape(64, 64, 64)
    >>> lbp = LBP(grid=2).fit(patches)
    >>> lbp.transform(patches).shape
    (64, 40)
    >>> lbp.get_feature_names_out()[[0, 9, 39]].tolist()
    ['lbp_y0_x0_u0', 'lbp_y0_x0_other', 'lbp_y1_x1_other']
    """

    _parameter_constraints = {
        **ImageTransformer._parameter_constraints,
        "n_points": [Interval(Integral, 1, None, closed="left")],
        "radius": [Interval(Real, 0, MAX_RADIUS, closed="right")],
        "method": [StrOptions(set(METHODS))],
        "grid": [Interval(Integral, 1, None, closed="left")],
        "device": [StrOptions(set(DEVICES)), None],
    }

    def __init__(
        self,
        n_points: int = 8,
        radius: float = 1,
        method: str = "uniform",
        grid: int = 1,
        image_shape: ImageShape | None = None,
        n_jobs: int | None = None,
        device: str | None = None,
    ):
        self.n_points = n_points
        self.radius = radius
        self.method = method
        self.grid = grid
        self.image_shape = image_shape
        self.n_jobs = n_jobs
        self.device = device

    def _count_bins(self) -> int:
        return (
            VARIANCE_BINS if self.method == "var" else count_labels(int(self.n_points), self.method)
        )

    def _count_features(self, height: int, width: int) -> int:
        _check_points(int(self.n_points), self.method)
        check_grid("LBP", self.grid, height, width)
        return int(self.grid) ** 2 * self._count_bins()

    def _name_features(self, height: int, width: int) -> list[str]:
        names = self._name_bins()
        return [f"lbp_{cell}_{name}" for cell in name_cells(int(self.grid)) for name in names]

    def _name_bins(self) -> list[str]:
        if self.method == "uniform":
            return [f"u{k}" for k in range(int(self.n_points) + 1)] + ["other"]
        if self.method == "nri_uniform":
            return [f"nri{k}" for k in range(self._count_bins() - 1)] + ["other"]
        if self.method == "ror":
            return [f"ror{code}" for code in rotation_minima(int(self.n_points))]
        if self.method == "var":
            return ["var0"] + [f"var{2**k}" for k in range(VARIANCE_BINS - 1)]
        return [f"c{code}" for code in range(2 ** int(self.n_points))]

    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        if is_accelerated(self.device):
            from imgfeat.features.graphs.lbp import emit_lbp  # which imports this module

            run_graph(emit_lbp, self, images, out)
            return
        gray = to_gray(images)
        if self.method == "var":
            # Floating-point images are in [0, 1], 8-bit images in 0..255.
            scale = 1.0 if gray.dtype == np.uint8 else 255.0**2
            prepared = _prepare_kernel(gray, int(self.n_points), float(self.radius), exact=True)
            variance_histograms(gray, *prepared, scale, int(self.grid), out)
        else:
            prepared = _prepare_kernel(gray, int(self.n_points), float(self.radius))
            table = bin_table(int(self.n_points), self.method)
            lbp_histograms(gray, *prepared, table, int(self.grid), out)


def local_binary_pattern(
    image: ArrayLike, n_points: int = 8, radius: float = 1, method: str = "default"
) -> NDArray[Any]:
    """Compute the label of every pixel, as ``skimage.feature.local_binary_pattern`` does.

    Parameters
    ----------
    image : array-like of shape (h, w) or (h, w, c)
        One image; uint8, or floating point in [0, 1]. Colour is reduced to luma.
    n_points, radius, method
        As for `LBP`.

    Returns
    -------
    labels : ndarray of shape (h, w)
        dtype uint32; for "var" float64, NaN where all neighbours are equal. For "ror", labels are
        the smallest codes themselves, not numbers of bins.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat import local_binary_pattern
    >>> image = np.array([[9, 0, 0], [9, 5, 0], [9, 9, 9]], np.uint8)
    >>> int(local_binary_pattern(image)[1, 1])  # left, lower left, below: bits 3 to 7
    248
    """
    validate_params(LBP(n_points, radius, method))
    _check_points(n_points, method)
    gray = to_gray(check_one_image(image))
    if method == "var":
        variance = variance_map(gray[0], *_prepare_kernel(gray, n_points, radius, exact=True))
        return np.where(variance == 0, np.nan, variance)
    codes = lbp_codes(gray[0], *_prepare_kernel(gray, n_points, radius))
    return label_table(n_points, method)[codes]


def _check_points(n_points: int, method: str) -> None:
    if n_points > MAX_POINTS[method]:
        raise ValueError(
            f"n_points must be at most {MAX_POINTS[method]} for method={method!r}, got {n_points}."
            + (" method='uniform' takes up to 24." if MAX_POINTS[method] < 24 else "")
        )


def _prepare_kernel(
    gray: NDArray[Any], n_points: int, radius: float, *, exact: bool = False
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64]]:
    """Return the kernel's buffer of rows and its table of neighbours."""
    near = gray.dtype == np.uint8 and n_points == 8 and radius == 1 and not exact
    rows = working_rows(gray.shape[2], radius, near=near)
    return rows, *_cached_neighbours(n_points, radius)


_cached_neighbours = functools.lru_cache(maxsize=32)(neighbour_table)
