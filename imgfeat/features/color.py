"""Histograms and moments of colour."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._base import ImageTransformer
from imgfeat._compat.sklearn import Interval, StrOptions
from imgfeat.features._color_kernel import (
    HSV,
    LAB,
    RGB,
    color_histograms,
    color_moments,
    lab_tables,
)
from imgfeat.features._grid import check_grid, name_cells
from imgfeat.images.validation import ImageShape

# Number of the space, names of its channels, and their ranges. Those of a and b include all of
# sRGB, and are not symmetric, so that grey (a = b = 0) is not on the edge of a bin.
SPACES = {
    "rgb": (RGB, "rgb", ((0, 1), (0, 1), (0, 1))),
    "hsv": (HSV, "hsv", ((0, 1), (0, 1), (0, 1))),
    "lab": (LAB, "lab", ((0, 100), (-87, 99), (-108, 95))),
}
MOMENTS = ("mean", "std", "skew")
# Limit for a channel; narrower bins would separate rounding errors.
MAX_BINS = 4096


class ColorHistogram(ImageTransformer):
    """Normalised histograms of colour, one set for each cell of a grid [1]_.

    Parameters
    ----------
    space : {"rgb", "hsv", "lab"}, default="hsv"
        Colour space: RGB, HSV as in ``skimage.color.rgb2hsv``, or Lab as in
        ``skimage.color.rgb2lab``.
    bins : int or (int, int, int), default=8
        Number of equal bins of each channel, at most 4096, over its range: [0, 1] in RGB and HSV;
        in Lab [0, 100] for L, [-87, 99] for a and [-108, 95] for b, which includes all of sRGB.
    joint : bool, default=False
        Whether to compute one histogram over all channels, instead of one for each channel.
    grid : int, default=1
        The image is cut into `grid` x `grid` cells, with the histograms of each.
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
        If `bins` is neither a number nor three numbers, or an image has fewer than `grid` pixels
        along a side.

    See Also
    --------
    ColorMoments : Three moments of each channel instead of a histogram.

    Notes
    -----
    Each histogram sums to 1. Grey images are treated as colour images of three equal channels. A
    value on the edge of two bins is in the upper one (the last bin includes both edges, except for
    hue, which is circular), with a margin of 1e-4 bins, so that an image in 0..255 and the same
    image in [0, 1] have the same histogram. Lab is exact to about 2e-3.

    References
    ----------
    .. [1] M. J. Swain and D. H. Ballard, "Color Indexing", IJCV 7, 1991,
           :doi:`10.1007/BF00130487`.

    Examples
    --------
    >>> import numpy as np
    >>> from skimage.data import astronaut, coffee
    >>> from imgfeat import ColorHistogram
    >>> images = np.stack([astronaut()[:400], coffee()[:400, :512]])
    >>> histogram = ColorHistogram(grid=2).fit(images)
    >>> histogram.transform(images).shape
    (2, 96)
    >>> histogram.get_feature_names_out()[[0, 8, 95]].tolist()
    ['color_y0_x0_h0', 'color_y0_x0_s0', 'color_y1_x1_v7']
    """

    _parameter_constraints = {
        **ImageTransformer._parameter_constraints,
        "space": [StrOptions(set(SPACES))],
        "bins": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "joint": ["boolean"],
        "grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        space: str = "hsv",
        bins: int | tuple[int, int, int] = 8,
        joint: bool = False,
        grid: int = 1,
        image_shape: ImageShape | None = None,
        n_jobs: int | None = None,
    ):
        self.space = space
        self.bins = bins
        self.joint = joint
        self.grid = grid
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def _count_features(self, height: int, width: int) -> int:
        check_grid("ColorHistogram", self.grid, height, width)
        bins = _read_bins(self.bins)
        return int(self.grid) ** 2 * int(np.prod(bins) if self.joint else np.sum(bins))

    def _name_features(self, height: int, width: int) -> list[str]:
        channels = [
            [f"{channel}{k}" for k in range(count)]
            for channel, count in zip(SPACES[self.space][1], _read_bins(self.bins), strict=True)
        ]
        if self.joint:
            names = [f"{a}_{b}_{c}" for a in channels[0] for b in channels[1] for c in channels[2]]
        else:
            names = [name for channel in channels for name in channel]
        return [f"color_{cell}_{name}" for cell in name_cells(int(self.grid)) for name in names]

    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        space, _, ranges = SPACES[self.space]
        bins = np.array(_read_bins(self.bins))
        lows, highs = np.array(ranges, np.float32).T
        scales = (bins / (highs - lows)).astype(np.float32)
        lows = np.ascontiguousarray(lows)
        color_histograms(
            images, space, lab_tables(), lows, scales, bins, bool(self.joint), int(self.grid), out
        )


class ColorMoments(ImageTransformer):
    """Mean, standard deviation and skewness of each channel of each cell of a grid [1]_.

    Parameters
    ----------
    space : {"rgb", "hsv", "lab"}, default="lab"
        Colour space, as for `ColorHistogram`. The mean of hue, which is circular, has
        little meaning.
    grid : int, default=1
        The image is cut into `grid` x `grid` cells, with the moments of each.
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
        If an image has fewer than `grid` pixels along a side.

    See Also
    --------
    ColorHistogram : The whole distribution of each channel.

    Notes
    -----
    As in the paper, skewness is the cube root of the third central moment, not divided by the
    deviation: all three have the unit of the channel. Grey images are treated as colour
    images of three equal channels.

    References
    ----------
    .. [1] M. Stricker and M. Orengo, "Similarity of Color Images", SPIE Storage and Retrieval for
           Image and Video Databases III, 1995, :doi:`10.1117/12.205308`.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> from imgfeat import ColorMoments
    >>> moments = ColorMoments().fit(astronaut()[None])
    >>> moments.transform(astronaut()[None]).shape
    (1, 9)
    >>> moments.get_feature_names_out()[:4].tolist()
    ['color_y0_x0_l_mean', 'color_y0_x0_l_std', 'color_y0_x0_l_skew', 'color_y0_x0_a_mean']
    """

    _parameter_constraints = {
        **ImageTransformer._parameter_constraints,
        "space": [StrOptions(set(SPACES))],
        "grid": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        space: str = "lab",
        grid: int = 1,
        image_shape: ImageShape | None = None,
        n_jobs: int | None = None,
    ):
        self.space = space
        self.grid = grid
        self.image_shape = image_shape
        self.n_jobs = n_jobs

    def _count_features(self, height: int, width: int) -> int:
        check_grid("ColorMoments", self.grid, height, width)
        return int(self.grid) ** 2 * 3 * len(MOMENTS)

    def _name_features(self, height: int, width: int) -> list[str]:
        return [
            f"color_{cell}_{channel}_{moment}"
            for cell in name_cells(int(self.grid))
            for channel in SPACES[self.space][1]
            for moment in MOMENTS
        ]

    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        color_moments(images, SPACES[self.space][0], lab_tables(), int(self.grid), out)


def _read_bins(bins: Any) -> tuple[int, int, int]:
    triple = (bins,) * 3 if isinstance(bins, Integral) else tuple(bins)
    whole = all(isinstance(v, Integral) and 1 <= int(v) <= MAX_BINS for v in triple)
    if len(triple) != 3 or not whole:
        raise ValueError(
            f"bins must be a positive whole number or three of them, one per channel, of at most "
            f"{MAX_BINS}, got {bins!r}."
        )
    return int(triple[0]), int(triple[1]), int(triple[2])
