"""Transfer learning and fine-tuning of a network as a scikit-learn classifier."""

import copy
import os
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from imgfeat._compat.sklearn import Interval, StrOptions, validate_params
from imgfeat._files import write_paths_as_text
from imgfeat._optional import import_optional
from imgfeat.heads.accuracy import AccuracyMixin
from imgfeat.images.validation import ImageShape, check_images, to_uint8


class CNNClassifier(AccuracyMixin, BaseEstimator):
    """A pretrained network with a new classifier, of which some or all layers are trained.

    The classifier is one linear layer, after dropout, in place of the last linear layer of the
    network. Images are converted and augmented batch by batch on the device. Needs
    ``pip install 'imgfeat[deep]'``.

    Parameters
    ----------
    backbone : str or torch.nn.Module, default="efficientnet_lite0"
        - "efficientnet_lite0", "timm:NAME" or a module, as in `imgfeat.CNNEmbedding`;
        - "small_cnn": six convolutions with batch normalisation, without pretrained weights, for
          images of about 28 x 28 pixels.
    weights : "pretrained", path-like or None, default="pretrained"
        A path is that of a state dict, as .safetensors or from ``torch.save``. None means random
        weights. For modules, "pretrained" means their own weights.
    unfreeze : {"head", "last_block", "all"}, int or str, default="head"
        What is trained besides the new classifier: nothing, the last block, all layers, the last n
        blocks, or the layer of that name and all that run after it. Frozen layers stay in
        evaluation mode: batch normalisation keeps its statistics.
    gradual_unfreeze : int, default=0
        If positive, the classifier alone is trained for so many epochs, and then one more block
        every so many epochs, up to `unfreeze` [1]_.
    initialization : {"he", "xavier"} or None, default=None
        Distribution of the weights of the new classifier, and of all convolutions and linear layers
        of a network without pretrained weights [2]_ [3]_. None is torch's own for each layer.
    optimizer : {"adamw", "adam", "sgd", "rmsprop"}, default="adamw"
        "sgd" has a momentum of 0.9.
    lr : float, default=3e-4
        Learning rate of the layers of the network.
    head_lr : float, default=None
        Learning rate of the new classifier; None means ten times `lr`.
    weight_decay : float, default=0.01
        Not applied to biases and normalisation layers.
    dropout : float, default=0.2
        Probability with which an input of the new classifier is dropped in training.
    loss : {"cross_entropy", "focal", "bce"}, default="cross_entropy"
        For an indicator matrix, the binary cross-entropy or the focal version of it [4]_.
    focal_gamma : float, default=2.0
        Exponent of the focal loss.
    label_smoothing : float, default=0.0
        Share of the target that is spread over all classes.
    class_weight : dict or "balanced", default=None
        As in scikit-learn. For an indicator matrix, weights of the images that have a label, by
        column.
    sampler : "balanced", default=None
        "balanced" draws training images with replacement, so that classes are equally frequent.
    augment : str, list of str or callable, default=None
        "light", "standard", "strong", names of transforms, or a function of a batch; see
        `imgfeat.training.augment.build_augmentation`.
    mixup : float, default=0.0
        Parameter of the beta distribution by which pairs of images are mixed [5]_; 0 means none.
    scheduler : {"cosine", "onecycle", "plateau"}, default="cosine"
        Schedule of the learning rates: half a cosine from `lr` to 0, one cycle with a maximum of
        `lr`, or a tenth after three epochs without a lower loss. None keeps them constant.
    max_epochs : int, default=20
        Number of epochs, if training is not stopped early.
    batch_size : int, default=32
        Images for one step of the optimiser, and at most so many at a time in prediction. If they
        do not fit the memory of a GPU, gradients are accumulated from fewer, with a warning.
    early_stopping : bool or int, default=True
        Number of epochs without improvement after which training stops; True means 5.
    validation_fraction : float or None, default=0.1
        Share of the training images of each class in the validation part, or of the groups if `fit`
        gets groups. None means no validation part, unless `fit` gets one.
    image_size : int or (int, int), default=None
        Height and width of the network's input; images of another size are resized, antialiased.
        None means the network's own size, or the size of the images if it takes any.
    mean, std : float or sequence of float, default=None
        As in `imgfeat.CNNEmbedding`.
    keep_features : bool, default=True
        Whether the features of a frozen network are computed once, and kept for all epochs, if
        images are neither augmented nor mixed. They take 4 bytes each.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last `fit`.
    checkpoint_dir : path-like, default=None
        Folder for a checkpoint after each epoch, as .safetensors. The same `fit`, of the same
        parameters, images and labels, then continues after the last complete epoch if its process
        was ended.
    callbacks : list of skorch.callbacks.Callback, default=None
        Called during training, with skorch's net.
    device : str, default="auto"
        "auto", "cpu", "cuda" or "cuda:N".
    precision : {"auto", "fp32", "bf16", "fp16"}, default="auto"
        Precision of convolutions and products of matrices. "auto" is bf16 on a GPU (fp16 on older
        ones), else fp32.
    image_shape : tuple (h, w) or (h, w, c), default=None
        Shape of one image, for flat input of shape (n, h * w * c).
    random_state : int, RandomState instance or None, default=None
        Determines weights, batches, augmentation and validation part. On a CPU, the same integer
        gives the same classifier.
    verbose : int, default=1
        0 shows nothing, 1 a progress bar, 2 also a line for each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or (n_labels, 2) for indicator matrices
        The labels; for each column of an indicator matrix, 0 and 1.
    module_ : torch.nn.Module
        From normalised pixels (n, c, h, w) to logits (n, n_classes), with the weights of the best
        epoch.
    image_size_, mean_, std_ : tuple
        Size and normalisation of the input of `module_`.
    image_shape_ : tuple (h, w, c)
        Shape of the images seen in `fit`.
    n_features_in_ : int
        Number of pixels; only for flat input.
    history_ : DataFrame
        Losses, accuracies, learning rates and seconds of each epoch.
    n_epochs_ : int
        Number of epochs of the last `fit`.
    best_epoch_ : int
        The epoch with the highest validation score, from 1, and of those with the same score the
        one with the lowest loss; the last epoch if there is no validation part.
    validation_score_ : float or None
        Accuracy of the best epoch on the validation part; the balanced accuracy with
        `class_weight` or `sampler`.

    Raises
    ------
    BackboneError
        If the network is unknown, its weights do not fit, there is no such layer to unfreeze, or
        the device is not available. A subclass of ValueError.
    TrainingError
        If the loss becomes NaN or infinite. The classifier then has the weights of the best epoch
        before. A subclass of ValueError.
    MissingExtraError
        If torch, timm, skorch or safetensors are not installed. A subclass of ImportError.

    See Also
    --------
    CNNEmbedding : Features of a frozen network, for any classifier of scikit-learn.

    References
    ----------
    .. [1] J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text Classification",
           ACL 2018, arXiv:1801.06146.
    .. [2] K. He et al., "Delving Deep into Rectifiers", ICCV 2015, arXiv:1502.01852.
    .. [3] X. Glorot and Y. Bengio, "Understanding the Difficulty of Training Deep Feedforward
           Neural Networks", AISTATS 2010.
    .. [4] T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv:1708.02002.
    .. [5] H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
           arXiv:1710.09412.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat import CNNClassifier
    >>> digits = load_digits()
    >>> images = digits.images / 16
    >>> classifier = CNNClassifier(
    ...     "small_cnn", unfreeze="all", lr=3e-3, max_epochs=4, random_state=0
    ... )
    >>> classifier.fit(images[:1200], digits.target[:1200])
    CNNClassifier(...)
    >>> classifier.score(images[1200:], digits.target[1200:]) > 0.9
    True
    """

    _parameter_constraints: dict[str, Any] = {
        "backbone": "no_validation",
        "weights": [str, os.PathLike, None],
        "unfreeze": [str, Interval(Integral, 1, None, closed="left")],
        "gradual_unfreeze": [Interval(Integral, 0, None, closed="left")],
        "initialization": [StrOptions({"he", "xavier"}), None],
        "optimizer": [StrOptions({"adamw", "adam", "sgd", "rmsprop"})],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "head_lr": [Interval(Real, 0, None, closed="neither"), None],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "loss": [StrOptions({"cross_entropy", "focal", "bce"})],
        "focal_gamma": [Interval(Real, 0, None, closed="left")],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "sampler": [StrOptions({"balanced"}), None],
        "augment": [str, list, tuple, callable, None],
        "mixup": [Interval(Real, 0, None, closed="left")],
        "scheduler": [StrOptions({"cosine", "onecycle", "plateau"}), None],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean", Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither"), None],
        "image_size": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "mean": [Real, "array-like", None],
        "std": [Interval(Real, 0, None, closed="neither"), "array-like", None],
        "keep_features": ["boolean"],
        "warm_start": ["boolean"],
        "checkpoint_dir": [str, os.PathLike, None],
        "callbacks": [list, tuple, None],
        "device": [str],
        "precision": [StrOptions({"auto", "fp32", "bf16", "fp16"})],
        "image_shape": ["array-like", None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        backbone: Any = "efficientnet_lite0",
        weights: str | os.PathLike | None = "pretrained",
        unfreeze: str | int = "head",
        gradual_unfreeze: int = 0,
        initialization: Literal["he", "xavier"] | None = None,
        optimizer: Literal["adamw", "adam", "sgd", "rmsprop"] = "adamw",
        lr: float = 3e-4,
        head_lr: float | None = None,
        weight_decay: float = 0.01,
        dropout: float = 0.2,
        loss: Literal["cross_entropy", "focal", "bce"] = "cross_entropy",
        focal_gamma: float = 2.0,
        label_smoothing: float = 0.0,
        class_weight: dict | Literal["balanced"] | None = None,
        sampler: Literal["balanced"] | None = None,
        augment: str | Sequence[str] | Callable[..., Any] | None = None,
        mixup: float = 0.0,
        scheduler: Literal["cosine", "onecycle", "plateau"] | None = "cosine",
        max_epochs: int = 20,
        batch_size: int = 32,
        early_stopping: bool | int = True,
        validation_fraction: float | None = 0.1,
        image_size: int | tuple[int, int] | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        keep_features: bool = True,
        warm_start: bool = False,
        checkpoint_dir: str | os.PathLike | None = None,
        callbacks: Sequence[Any] | None = None,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
        image_shape: ImageShape | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 1,
    ):
        self.backbone = backbone
        self.weights = weights
        self.unfreeze = unfreeze
        self.gradual_unfreeze = gradual_unfreeze
        self.initialization = initialization
        self.optimizer = optimizer
        self.lr = lr
        self.head_lr = head_lr
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.loss = loss
        self.focal_gamma = focal_gamma
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.sampler = sampler
        self.augment = augment
        self.mixup = mixup
        self.scheduler = scheduler
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.image_size = image_size
        self.mean = mean
        self.std = std
        self.keep_features = keep_features
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.callbacks = callbacks
        self.device = device
        self.precision = precision
        self.image_shape = image_shape
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        validation_data: tuple[Any, Any] | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images; see `imgfeat.images.validation.check_images`.
        y : array-like of shape (n,) or (n, n_labels)
            Labels, or an indicator matrix.
        sample_weight : array-like of shape (n,), default=None
            Weights of the losses of images.
        groups : array-like of shape (n,), default=None
            Images of one group are all in the training or all in the validation part.
        validation_data : tuple (X, y), default=None
            A validation part to be used instead of images drawn from `X`.

        Returns
        -------
        self : object
        """
        validate_params(self)
        for package in ("torch", "skorch", "safetensors"):
            import_optional(package)
        from imgfeat.training.fitting import fit_classifier  # which imports torch

        fit_classifier(self, X, y, sample_weight, groups, validation_data)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the labels of images.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images of the size seen in `fit`; n may be 0.

        Returns
        -------
        labels : ndarray of shape (n,) or (n, n_labels)
            The most probable class, or an indicator matrix of the labels with a probability above
            0.5.
        """
        probabilities = self.predict_proba(X)
        if self.classes_.ndim == 2:
            return (probabilities > 0.5).astype(int)
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the probabilities of classes or labels.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, h, w, c) or (n, h * w * c)
            Images of the size seen in `fit`; n may be 0.

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes) or (n, n_labels), dtype float32
        """
        check_is_fitted(self, "module_")
        images = self._check_images(X, reset=False)
        from imgfeat.training.prediction import predict_probabilities  # which imports torch

        return predict_probabilities(self, images)

    def __getstate__(self) -> dict[str, Any]:
        state = write_paths_as_text(super().__getstate__())
        if "module_" in state and next(state["module_"].parameters()).device.type != "cpu":
            state["module_"] = copy.deepcopy(state["module_"]).cpu()
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "module_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = self.image_shape is not None
        tags.input_tags.three_d_array = True
        tags.classifier_tags.multi_label = True
        return tags

    def _check_images(self, X: ArrayLike, *, reset: bool) -> NDArray[np.uint8]:
        """Return images as uint8; set or check the attributes that describe them."""
        images = check_images(X, image_shape=self.image_shape)
        if np.ndim(X) == 2 and (reset or hasattr(self, "n_features_in_")):
            validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            self.image_shape_ = images.shape[1:]
        elif images.shape[1:] != self.image_shape_:
            raise ValueError(
                f"CNNClassifier was fitted on images of shape {self.image_shape_}, got "
                f"{images.shape[1:]}. ImageLoader(size={self.image_shape_[:2]}, color="
                f"{'gray' if self.image_shape_[2] == 1 else 'rgb'!r}) makes them alike."
            )
        return to_uint8(images)
