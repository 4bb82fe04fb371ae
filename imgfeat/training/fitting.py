"""The steps of CNNClassifier.fit: checks, network, data, training."""

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length

from imgfeat._compat.sklearn import check_sample_weight
from imgfeat.backbones.backbone import Backbone
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.settings import choose_torch_device
from imgfeat.images.sizes import read_size
from imgfeat.training import small_cnn
from imgfeat.training.batches import BatchIterator, ImageSet
from imgfeat.training.callbacks import (
    Accuracy,
    BestWeights,
    EarlyStopping,
    GradualUnfreezing,
    Progress,
)
from imgfeat.training.checkpoints import Checkpoint, find_checkpoint
from imgfeat.training.freezing import HEAD, LayerOrder, list_frozen
from imgfeat.training.frozen import compute_features
from imgfeat.training.history import make_frame, make_rows
from imgfeat.training.loop import FineTuningNet
from imgfeat.training.losses import ClassificationLoss
from imgfeat.training.network import FineTunedNetwork, build_network, initialize, load_trunk
from imgfeat.training.optimizers import build_optimizer, build_scheduler
from imgfeat.training.pixels import PixelFormat
from imgfeat.training.random_state import seed_torch
from imgfeat.training.targets import Targets, encode_labels, weigh_classes
from imgfeat.training.validation import split_images

if TYPE_CHECKING:
    from imgfeat.training.classifier import CNNClassifier

HEAD_LR_FACTOR = 10
PATIENCE = 5


def fit_classifier(
    classifier: "CNNClassifier",
    X: Any,
    y: Any,
    sample_weight: Any,
    groups: Any,
    validation_data: Any,
) -> None:
    """Fit a CNNClassifier; see its `fit`."""
    random_state = check_random_state(classifier.random_state)
    device, precision = choose_torch_device(classifier.device, classifier.precision)
    former = _find_former(classifier)
    images = classifier._check_images(X, reset=True)
    if len(images) == 0:
        raise ValueError(
            f"CNNClassifier needs at least 2 images to fit, got an array of shape {np.shape(X)} "
            "with 0 sample(s)."
        )
    targets = encode_labels(y, classifier)
    check_consistent_length(images, targets.codes)
    _check_options(classifier, targets)
    weights = check_sample_weight(sample_weight, images, dtype=np.float32)
    whole = ImageSet(images, targets.codes, weights)
    train, validation = split_images(
        classifier, whole, targets, groups, validation_data, random_state
    )
    with seed_torch(int(random_state.randint(2**31 - 1)), device):
        if former is None:
            network, pixel_format = _build(classifier, targets)
        else:
            network, pixel_format = _check_former(former, classifier, targets)
        order = LayerOrder(network.trunk, len(pixel_format.mean), pixel_format.image_size)
        starts = order.list_starts(classifier.unfreeze)
        network.freeze(list_frozen(order, starts[-1]))
        augmentation = _build_augmentation(classifier, pixel_format)
        checkpoint = _find_checkpoint(classifier, network, [train, validation])
        network.to(device).to(memory_format=torch.channels_last)
        if starts[-1] == HEAD and _keeps_features(classifier):
            compute = functools.partial(
                compute_features, network, pixel_format, classifier.batch_size, device, precision
            )
            train = compute(train)
            validation = None if validation is None else compute(validation)
        net = FineTuningNet(
            network,
            _build_loss(classifier, targets),
            pixel_format=pixel_format,
            build_optimizer=_choose_optimizer(classifier),
            augmentation=augmentation,
            mixup=classifier.mixup,
            precision=precision,
            balanced=classifier.sampler == "balanced",
            validation=validation,
            max_epochs=classifier.max_epochs,
            batch_size=classifier.batch_size,
            device=device,
        )
        callbacks = _list_callbacks(classifier, net, train, order, starts, checkpoint)
        classifier.classes_ = targets.classes
        classifier.module_ = network
        classifier.image_size_ = pixel_format.image_size
        classifier.mean_, classifier.std_ = pixel_format.mean, pixel_format.std
        _train(classifier, net, train, callbacks)


def _check_options(classifier: "CNNClassifier", targets: Targets) -> None:
    if classifier.sampler == "balanced" and targets.multilabel:
        raise ValueError(
            "sampler='balanced' is for one label an image; use class_weight='balanced' with an "
            "indicator matrix."
        )
    if classifier.checkpoint_dir is not None and classifier.random_state is None:
        raise ValueError(
            "checkpoint_dir needs a random_state, such as random_state=0: with random_state=None, "
            "every fit is another one, which continues none."
        )


def _build(classifier: "CNNClassifier", targets: Targets) -> tuple[FineTunedNetwork, PixelFormat]:
    """Build the network, with a new classifier, on the CPU."""
    size = classifier.image_size
    size = None if size is None else read_size("image_size", size)
    backbone = load_trunk(classifier.backbone, classifier.weights, size, classifier.image_shape_)
    _check_channels(backbone, classifier.image_shape_[2])
    network = build_network(backbone, targets.n_outputs, classifier.dropout)
    new = backbone.name == small_cnn.NAME and classifier.weights == "pretrained"
    is_random = new or classifier.weights is None
    if is_random and classifier.unfreeze != "all":
        warnings.warn(
            f"{backbone.name} has random weights, of which unfreeze={classifier.unfreeze!r} trains "
            "only some. Use unfreeze='all', or pretrained weights.",
            UserWarning,
            stacklevel=4,
        )
    if classifier.initialization is not None:
        initialize(network if is_random else network.classifier, classifier.initialization)
    mean = _fit_channels("mean", classifier.mean, backbone.mean)
    std = _fit_channels("std", classifier.std, backbone.std)
    height, width = backbone.image_size or classifier.image_shape_[:2]
    return network, PixelFormat((height, width), mean, std)


def _check_channels(backbone: Backbone, n_channels: int) -> None:
    if n_channels not in (1, backbone.n_channels):
        raise BackboneError(
            f"{backbone.name} takes images of {backbone.n_channels} channel, got {n_channels}. Use "
            "ImageLoader(color='gray')."
        )


def _fit_channels(name: str, values: Any, default: Sequence[float]) -> tuple[float, ...]:
    if values is None:
        return tuple(default)
    given = np.atleast_1d(np.asarray(values, float))
    if given.shape not in ((1,), (len(default),)):
        raise ValueError(
            f"{name} must be one number, or one for each of {len(default)} channels, got "
            f"{values!r}."
        )
    return tuple(np.broadcast_to(given, len(default)).tolist())


def _find_former(classifier: "CNNClassifier") -> dict[str, Any] | None:
    """Return the attributes of the last fit, if training continues from it."""
    if not classifier.warm_start or not hasattr(classifier, "module_"):
        return None
    return dict(vars(classifier))


def _check_former(
    former: dict[str, Any], classifier: "CNNClassifier", targets: Targets
) -> tuple[FineTunedNetwork, PixelFormat]:
    """Return the network of the last fit, if classes and images are alike."""
    if not np.array_equal(former["classes_"], targets.classes):
        raise ValueError(
            f"warm_start=True continues with the classes {former['classes_'].tolist()}, got "
            f"{targets.classes.tolist()}. Use warm_start=False."
        )
    if former["image_shape_"] != classifier.image_shape_:
        raise ValueError(
            f"warm_start=True continues with images of shape {former['image_shape_']}, got "
            f"{classifier.image_shape_}. Use warm_start=False."
        )
    pixel_format = PixelFormat(former["image_size_"], former["mean_"], former["std_"])
    return former["module_"].cpu().eval(), pixel_format


def _build_augmentation(classifier: "CNNClassifier", pixel_format: PixelFormat) -> Any:
    if classifier.augment is None:
        return None
    from imgfeat.training.augment import build_augmentation

    shape = pixel_format.find_augmented_shape(classifier.image_shape_)
    return build_augmentation(classifier.augment, image_shape=shape)


def _keeps_features(classifier: "CNNClassifier") -> bool:
    return classifier.keep_features and classifier.augment is None and not classifier.mixup


def _build_loss(classifier: "CNNClassifier", targets: Targets) -> ClassificationLoss:
    weights = weigh_classes(classifier.class_weight, targets)
    return ClassificationLoss(
        classifier.loss,
        targets.multilabel,
        None if weights is None else torch.from_numpy(weights),
        classifier.label_smoothing,
        classifier.focal_gamma,
    )


def _choose_optimizer(classifier: "CNNClassifier") -> Any:
    return functools.partial(
        build_optimizer,
        name=classifier.optimizer,
        lr=classifier.lr,
        head_lr=HEAD_LR_FACTOR * classifier.lr
        if classifier.head_lr is None
        else classifier.head_lr,
        weight_decay=classifier.weight_decay,
    )


def _find_checkpoint(
    classifier: "CNNClassifier", network: FineTunedNetwork, parts: Sequence[ImageSet | None]
) -> Path | None:
    if classifier.checkpoint_dir is None:
        return None
    params = classifier.get_params(deep=False)
    return find_checkpoint(classifier.checkpoint_dir, params, network.state_dict(), parts)


def _list_callbacks(
    classifier: "CNNClassifier",
    net: FineTuningNet,
    train: ImageSet,
    order: LayerOrder,
    starts: Sequence[float],
    checkpoint: Path | None,
) -> list[Any]:
    """Return the callbacks, in the order in which they are called."""
    n_batches = len(BatchIterator(train, net.batch_size))
    weighted = classifier.class_weight is not None or classifier.sampler is not None
    best, scheduler = BestWeights(), None
    callbacks: list[Any] = [Accuracy(balanced=weighted), best]
    if classifier.scheduler is not None:
        monitor = "train_loss" if net.validation is None else "valid_loss"
        n_steps = n_batches * net.max_epochs
        scheduler = build_scheduler(classifier.scheduler, n_steps, monitor)
        callbacks.append(scheduler)
    if classifier.gradual_unfreeze:
        callbacks.append(GradualUnfreezing(order, starts, classifier.gradual_unfreeze))
    if checkpoint is not None:
        callbacks.append(Checkpoint(checkpoint, best, scheduler))
    if classifier.verbose:
        callbacks.append(Progress(n_batches, classifier.verbose))
    # The last two end training, which the others must not miss.
    callbacks += classifier.callbacks or []
    if classifier.early_stopping and net.validation is not None:
        patience = classifier.early_stopping
        callbacks.append(EarlyStopping(best, PATIENCE if patience is True else patience))
    return callbacks


def _train(
    classifier: "CNNClassifier", net: FineTuningNet, train: ImageSet, callbacks: Sequence[Any]
) -> None:
    """Train, and set the attributes that describe the training, also if it fails."""
    (best,) = (callback for callback in callbacks if isinstance(callback, BestWeights))
    net.callbacks = list(callbacks)
    try:
        net.fit(train)
    finally:
        for callback in callbacks:
            if isinstance(callback, Progress):
                callback.close()
        best.restore(net)
        net.module_.eval().requires_grad_(False)
        rows = make_rows(net.history)
        classifier.history_ = make_frame(rows)
        classifier.n_epochs_ = len(rows)
        classifier.best_epoch_ = best.epoch_
        classifier.validation_score_ = (
            rows[best.epoch_ - 1].get("valid_score") if best.epoch_ else None
        )
