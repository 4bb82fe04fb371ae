"""ImageLoader: paths, bytes, PIL images and arrays of any size, read into one uint8 array."""

import copy
import warnings
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Literal, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin

from imgfeat._compat.sklearn import Interval, StrOptions, validate_params
from imgfeat.images.decoding import MAX_PIXELS, ImageReadError, list_items, name_source, read_image
from imgfeat.images.pixel_values import Color, ValueRange, check_value_range
from imgfeat.images.resizing import resize_image
from imgfeat.images.rows import attach_index, find_index
from imgfeat.images.sizes import read_size
from imgfeat.images.sources import ImageBatch, ImageSource
from imgfeat.images.training_hashes import add_record, record_hashes, register_hashes, sort_hashes


class BadImageWarning(UserWarning):
    """Images could not be read and were replaced by blank ones.

    Attributes
    ----------
    failures : list of (int, str, str)
        Position in the batch, name and cause for each image.
    """

    def __init__(self, failures: Sequence[tuple[int, str, str]]):
        self.failures = list(failures)
        position, name, cause = self.failures[0]
        others = len(self.failures) - 1
        super().__init__(
            f"{len(self.failures)} image(s) could not be read and are blank: {name} (row "
            f"{position}): {cause}" + (f"; and {others} more, see .failures" if others else "")
        )


class ImageLoader(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Read images of any kind and size into one uint8 array; the first step of a pipeline.

    It supports EXIF orientation, grey, palette, 12-bit, 16-bit, floating-point and CMYK images, and
    transparency (blended onto white). Of a file with several images, the first is read.

    Parameters
    ----------
    size : int or (int, int), default=64
        Height and width of the result, or one number for both.
    color : {"rgb", "gray"}, default="rgb"
        Whether the result has three channels, or is of shape (h, w) with luma (ITU-R 601).
    resize : {"stretch", "crop", "pad"}, default="stretch"
        How an image of another aspect ratio is brought to `size`: stretched, cropped to its largest
        centred part of the right aspect ratio, or padded with black. Shrinking averages over areas,
        enlarging interpolates.
    on_error : {"raise", "blank"}, default="raise"
        What to do with images that cannot be read or are missing (None, NaN, an empty name): raise
        an `ImageReadError` that names the first, or replace them by black images and give one
        `BadImageWarning` that lists them. Rows are never dropped, since `y` would no longer match;
        ``load_folder(..., verify=True)`` drops files and labels together.
    max_pixels : int, default=67108864
        Larger images are refused before they are decoded: a small file can claim any
        size, and decoding takes at least 4 bytes a pixel. The default accepts pictures of
        61-megapixel cameras, and keeps the memory for one image below 500 MB in the usual formats,
        1.3 GB in WebP and with channels of 16 bits. Pillow's own limits apply as well: it warns
        above ``PIL.Image.MAX_IMAGE_PIXELS``, and raises an error above twice as many.
    n_jobs : int, default=None
        Number of threads that decode and resize. None means 1 unless inside a
        ``joblib.parallel_config`` context, -1 all cores.
    value_range : "dtype", "image", (low, high) or (str, str), default="dtype"
        Which pixel values become black and white. "dtype": 0 and the largest value of the
        file's bit depth (255; 4095 for 12 bits; 65535; its tag MaxSampleValue if no pixel exceeds
        it; 1 for floating point), which leaves 8-bit images unchanged. (low, high): these two
        values, in the units of the file or the array, such as (0, 4095) for 12 bits stored in 16.
        "image": the lowest and the highest value of each image. Two percentages such as
        ("1%", "99%"): these percentiles of each image. All but "dtype" accept arrays of any real
        dtype and range. Alpha channels are not scaled.

    Attributes
    ----------
    training_hashes_ : ndarray of dtype uint64
        A hash of the pixels of each image that `fit_transform` read, by which
        `imgfeat.evaluation.evaluate` detects training images in a test set.

    See Also
    --------
    imgfeat.images.datasets.load_folder : List paths and labels in a folder of class folders.

    Notes
    -----
    The parameter is called `resize` because a scikit-learn estimator cannot have a parameter
    `fit`. Images are not tabular, so `set_output` has no effect here; frames of features have the
    index of the frame or Series that the images were read from.

    Examples
    --------
    >>> import numpy as np
    >>> from imgfeat import ImageLoader
    >>> small, large = np.zeros((10, 20), np.uint8), np.ones((300, 200, 3))
    >>> ImageLoader(32).transform([small, large]).shape
    (2, 32, 32, 3)
    >>> ImageLoader((32, 64), color="gray", resize="pad").transform([small]).shape
    (1, 32, 64)
    """

    _parameter_constraints: dict[str, list[Any]] = {
        "size": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "color": [StrOptions({"rgb", "gray"})],
        "resize": [StrOptions({"stretch", "crop", "pad"})],
        "on_error": [StrOptions({"raise", "blank"})],
        "max_pixels": [Interval(Integral, 1, None, closed="left")],
        "value_range": [StrOptions({"dtype", "image"}), tuple, list],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        size: int | tuple[int, int] = 64,
        color: Color = "rgb",
        resize: Literal["stretch", "crop", "pad"] = "stretch",
        on_error: Literal["raise", "blank"] = "raise",
        max_pixels: int = MAX_PIXELS,
        n_jobs: int | None = None,
        value_range: ValueRange = "dtype",
    ):
        self.size = size
        self.color = color
        self.resize = resize
        self.on_error = on_error
        self.max_pixels = max_pixels
        self.n_jobs = n_jobs
        self.value_range = value_range

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Models saved by versions without this parameter.
        super().__setstate__({"value_range": "dtype", **state})

    def fit(self, X: ImageBatch, y: object = None) -> Self:
        """Check the parameters and that `X` is a batch; only `transform` reads the images.

        Parameters
        ----------
        X : sequence of images
            As for `transform`.
        y : ignored
            Present for scikit-learn's sake.

        Returns
        -------
        self : object
            The loader itself.
        """
        self._check_parameters()
        if len(list_items(X, "ImageLoader", self.value_range)) == 0:
            raise ValueError("ImageLoader needs at least 1 image to fit, got 0 sample(s).")
        return self

    def fit_transform(
        self, X: ImageBatch, y: object = None, **fit_params: object
    ) -> NDArray[np.uint8]:
        """Read every image, and store the hashes in `training_hashes_`.

        Parameters
        ----------
        X : sequence of images
            As for `transform`.
        y : ignored
            Present for scikit-learn's sake.
        **fit_params : dict
            Ignored.

        Returns
        -------
        images : ndarray of shape (n, height, width, 3), or (n, height, width) for color="gray"
        """
        with record_hashes(self) as recorded:
            images = super().fit_transform(X, y, **fit_params)
        self.training_hashes_ = sort_hashes(recorded[0])
        register_hashes(images, self.training_hashes_)
        return images

    def transform(self, X: ImageBatch) -> NDArray[np.uint8]:
        """Read every image.

        Parameters
        ----------
        X : sequence of str, path-like, bytes, PIL image or ndarray, or array of images
            A list, a pandas Series or one-column DataFrame, or an array of paths; arrays are
            (h, w) or (h, w, c), uint8 or floating point in [0, 1], or as `value_range` allows.

        Returns
        -------
        images : ndarray of shape (n, height, width, 3), or (n, height, width) for color="gray"
            uint8, RGB. Images read from a frame or Series keep its index, for the frames of
            features that later steps return.

        Raises
        ------
        ImageReadError
            If an image cannot be read and `on_error` is "raise".
        TypeError
            If `X` is a single image or path, or an item is none of the above.
        """
        self._check_parameters()
        height, width = self._target_size()
        items = list_items(X, "ImageLoader", self.value_range)
        images = np.zeros((len(items), height, width, *((3,) * (self.color == "rgb"))), np.uint8)
        reports = joblib.Parallel(n_jobs=self.n_jobs, require="sharedmem")(
            joblib.delayed(self._load_into)(images, items, position)
            for position in range(len(items))
        )
        failures = [report for report in reports if report is not None]
        if failures:
            warnings.warn(BadImageWarning(failures), stacklevel=2)
        add_record(self, images, [position for position, _, _ in failures])
        return attach_index(images, find_index(X))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return one name, since a step later in the pipeline names the features.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's sake.

        Returns
        -------
        names : ndarray of shape (1,), dtype object
            ``["image"]``.
        """
        return np.array(["image"], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Do nothing, since images are not tabular; needed for ``pipeline.set_output``.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Ignored.

        Returns
        -------
        self : object
            The loader itself.
        """
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _hash_inputs(self, X: ImageBatch) -> NDArray[np.uint64]:
        reader = copy.copy(self)  # several threads may use this loader at once
        with record_hashes(reader) as recorded:
            reader.transform(X)
        return recorded[0]

    def _check_parameters(self) -> None:
        validate_params(self)
        self._target_size()
        check_value_range(self.value_range)

    def _target_size(self) -> tuple[int, int]:
        return read_size("size", self.size)

    def _load_into(
        self,
        images: NDArray[np.uint8],
        items: list[ImageSource] | NDArray[Any],
        position: int,
    ) -> tuple[int, str, str] | None:
        try:
            pixels = read_image(
                items[position],
                color=self.color,
                max_pixels=self.max_pixels,
                value_range=self.value_range,
                row=position,
            )
        except ImageReadError as error:
            if self.on_error == "raise":
                raise
            return (position, name_source(items[position]), error.cause)
        images[position] = resize_image(pixels, images.shape[1:3], self.resize)
        return None
