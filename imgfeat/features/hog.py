"""Histograms of oriented gradients."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imgfeat._base import ImageTransformer
from imgfeat._compat.sklearn import Interval, StrOptions
from imgfeat.features._device import DEVICES, is_accelerated, run_graph
from imgfeat.features._hog_kernel import choose_arithmetic, hog_batch, hog_cells
from imgfeat.images.sizes import read_size
from imgfeat.images.validation import ImageShape, check_one_image

BLOCK_NORMS = ("L1", "L1-sqrt", "L2", "L2-Hys")

Pair = int | tuple[int, int]


class HOG(ImageTransformer):
    """Histogram of oriented gradients of every image [1]_.

    The features are those of ``skimage.feature.hog`` (to 1e-5), computed tens of times faster. For
    colour images, the channel with the largest gradient is used at every pixel.

    Parameters
    ----------
    orientations : int, default=9
        Number of orientation bins over 180 degrees.
    pixels_per_cell : int or (int, int), default=8
        Size of a cell in pixels, (rows, columns) or one number for both.
    cells_per_block : int or (int, int), default=2
        Size of a block in cells, (rows, columns) or one number for both. Blocks overlap,
        with a stride of one cell.
    block_norm : {"L1", "L1-sqrt", "L2", "L2-Hys"}, default="L2-Hys"
        How a block is normalised; "L2-Hys" clips at 0.2 and normalises again.
    transform_sqrt : bool, default=False
        Take the square root of the pixels first, which reduces the effect of shadows.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image, for flat input of shape (n, h * w * c).
    n_jobs : int, default=None
        Number of threads; None is 1 unless in a ``joblib.parallel_config`` context, -1 all cores.
    device : {"cpu", "cuda", "cuda:0", ..., "cuda:7"}, default=None
        None and "cpu" run the compiled kernel. A GPU runs the graph that `imgfeat.export` writes,
        for uint8 images, with features equal to 1e-5; it needs the extra ``export``, with
        ``onnxruntime-gpu`` in place of ``onnxruntime``.

    Attributes
    ----------
    image_shape_ : tuple (h, w, c)
        Shape of the images seen in `fit`.
    n_features_in_ : int
        Number of pixels; only for flat input.

    Raises
    ------
    ValueError
        If an image is smaller than one block; the message states the required size.
        If `device` is not available, or is a GPU and images are floating point.

    See Also
    --------
    hog_image : Draw the histograms.
    LBP : Describe texture instead of shape.

    Notes
    -----
    The features equal scikit-image's to 1e-5 for uint8, float32 and float64 images, grey and
    colour. If two channels have gradients of equal length, the first is used. Lengths are compared
    in the precision of the image, as in scikit-image and with glibc's rounding, so that a colour
    image in float32 and the same image in uint8 or float64 may differ where rounding makes two
    lengths equal or unequal.

    Pixels right of and below the last whole cell are ignored. An image in 0..255 and the same
    image in [0, 1] have the same descriptor except for this and where it is almost flat, because
    the normalisation adds a constant (1e-5) to the energy of a block.

    The first call in a new environment compiles the kernel for a few seconds, once for each of
    uint8, float32 and float64; the result is cached on disk, next to this module or, if that is
    read-only, in the user's cache folder (or in numba's NUMBA_CACHE_DIR).

    References
    ----------
    .. [1] N. Dalal and B. Triggs, "Histograms of Oriented Gradients for Human Detection",
           CVPR 2005, :doi:`10.1109/CVPR.2005.177`.

    Examples
    --------
    >>> from skimage.data import brick
    >>> from imgfeat import HOG
    >>> patches = brick().reshape(8, 64, 8, 64).swapaxes(1, 2).reshape(64, 64, 64)
    >>> hog = HOG().fit(patches)
    >>> hog.transform(patches).shape
    (64, 1764)
    >>> hog.get_feature_names_out()[40]
    'hog_y0_x1_cell0_0_o80'
    """

    _parameter_constraints = {
        **ImageTransformer._parameter_constraints,
        "orientations": [Interval(Integral, 1, None, closed="left")],
        "pixels_per_cell": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "cells_per_block": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "block_norm": [StrOptions(set(BLOCK_NORMS))],
        "transform_sqrt": ["boolean"],
        "device": [StrOptions(set(DEVICES)), None],
    }

    def __init__(
        self,
        orientations: int = 9,
        pixels_per_cell: Pair = 8,
        cells_per_block: Pair = 2,
        block_norm: str = "L2-Hys",
        transform_sqrt: bool = False,
        image_shape: ImageShape | None = None,
        n_jobs: int | None = None,
        device: str | None = None,
    ):
        self.orientations = orientations
        self.pixels_per_cell = pixels_per_cell
        self.cells_per_block = cells_per_block
        self.block_norm = block_norm
        self.transform_sqrt = transform_sqrt
        self.image_shape = image_shape
        self.n_jobs = n_jobs
        self.device = device

    def _cell_shape(self) -> tuple[int, int]:
        return read_size("pixels_per_cell", self.pixels_per_cell, "(rows, columns)")

    def _block_shape(self) -> tuple[int, int]:
        return read_size("cells_per_block", self.cells_per_block, "(rows, columns)")

    def _count_blocks(self, height: int, width: int) -> tuple[int, int]:
        cell, block = self._cell_shape(), self._block_shape()
        down = height // cell[0] - block[0] + 1
        across = width // cell[1] - block[1] + 1
        if down < 1 or across < 1:
            raise ValueError(
                f"HOG with pixels_per_cell={self.pixels_per_cell} and cells_per_block="
                f"{self.cells_per_block} needs images of at least {cell[0] * block[0]} x "
                f"{cell[1] * block[1]} pixels, got {height} x {width}. Enlarge the images, for "
                "example with ImageLoader, or use smaller cells or blocks."
            )
        return down, across

    def _count_features(self, height: int, width: int) -> int:
        down, across = self._count_blocks(height, width)
        rows, cols = self._block_shape()
        return down * across * rows * cols * int(self.orientations)

    def _name_features(self, height: int, width: int) -> list[str]:
        down, across = self._count_blocks(height, width)
        rows, cols = self._block_shape()
        orientations = int(self.orientations)
        degrees = [f"{180 * k / orientations:.4g}" for k in range(orientations)]
        return [
            f"hog_y{y}_x{x}_" + (f"cell{r}_{c}_" if rows * cols > 1 else "") + f"o{degree}"
            for y in range(down)
            for x in range(across)
            for r in range(rows)
            for c in range(cols)
            for degree in degrees
        ]

    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        if is_accelerated(self.device):
            from imgfeat.features.graphs.hog import emit_hog  # which imports this module

            run_graph(emit_hog, self, images, out)
            return
        if self.transform_sqrt:
            images = _square_root(images)
        norm = BLOCK_NORMS.index(self.block_norm)
        arithmetic = choose_arithmetic(images.dtype, int(self.orientations))
        shapes = (self._cell_shape(), self._block_shape())
        hog_batch(_flatten_rows(images), images.shape[3], *shapes, norm, *arithmetic, out)

    def _count_histograms(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return the histograms of the first image's cells, (rows, columns, orientations)."""
        if self.transform_sqrt:
            images = _square_root(images)
        arithmetic = choose_arithmetic(images.dtype, int(self.orientations))
        return hog_cells(_flatten_rows(images), images.shape[3], self._cell_shape(), *arithmetic)


def hog_image(
    image: ArrayLike,
    orientations: int = 9,
    *,
    pixels_per_cell: Pair = 8,
    transform_sqrt: bool = False,
) -> NDArray[np.float32]:
    """Draw the orientation histogram of every cell, as in ``skimage.feature.hog(visualize=True)``.

    Parameters
    ----------
    image : array-like of shape (h, w) or (h, w, c)
        One image; uint8, or floating point in [0, 1].
    orientations, pixels_per_cell, transform_sqrt
        As for `HOG`.

    Returns
    -------
    picture : ndarray of shape (h, w), dtype float32
        Every cell has a line for each orientation, along edges of that orientation, as bright as
        the bin's value. Show it with ``plt.imshow(picture, cmap="gray")``.

    Examples
    --------
    >>> from skimage.data import astronaut
    >>> from imgfeat import hog_image
    >>> hog_image(astronaut(), pixels_per_cell=16).shape
    (512, 512)
    """
    images = check_one_image(image)
    hog = HOG(orientations, pixels_per_cell, cells_per_block=1, transform_sqrt=transform_sqrt)
    hog.fit(images)
    cells = hog._count_histograms(images)
    rows, cols = hog._cell_shape()
    stars = _line_masks(orientations, rows, cols)
    drawn = np.einsum("yxo,orc->yrxc", cells, stars)
    picture = np.zeros(images.shape[1:3], np.float32)
    height, width = len(cells) * rows, cells.shape[1] * cols
    picture[:height, :width] = drawn.reshape(height, width)
    return picture


def _line_masks(orientations: int, rows: int, cols: int) -> NDArray[np.float32]:
    """Draw, for each orientation, a line through the centre of a cell along such an edge."""
    from skimage.draw import line

    radius = max(min(rows, cols) // 2 - 1, 0)
    masks = np.zeros((orientations, rows, cols), np.float32)
    for k, angle in enumerate(np.pi * (np.arange(orientations) + 0.5) / orientations):
        down, across = radius * np.cos(angle), radius * np.sin(angle)
        ends = (rows // 2 - down, cols // 2 + across, rows // 2 + down, cols // 2 - across)
        masks[k][line(*(int(end) for end in ends))] = 1
    return masks


def _flatten_rows(images: NDArray[Any]) -> NDArray[Any]:
    n, height, width, channels = images.shape
    return images.reshape(n, height, width * channels)


def _square_root(images: NDArray[Any]) -> NDArray[Any]:
    if images.dtype == np.uint8:
        roots = np.sqrt(np.arange(256, dtype=np.float64))[images]
    else:
        roots = np.sqrt(np.maximum(images, 0))
    roots.flags.writeable = False
    return roots
