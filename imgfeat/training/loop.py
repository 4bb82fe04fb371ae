"""The training loop: a skorch net that augments, mixes and accumulates on the device."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNet
from skorch.callbacks import EpochTimer, PassthroughScoring
from skorch.helper import predefined_split
from skorch.utils import TeeGenerator
from torch import Tensor, optim

from imgfeat.training.batches import Batch, BatchIterator, ImageSet
from imgfeat.training.errors import TrainingError
from imgfeat.training.losses import ClassificationLoss
from imgfeat.training.network import FineTunedNetwork
from imgfeat.training.pixels import PixelFormat

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class StopTraining(Exception):  # noqa: N818 - not an error
    """Raised by a callback to end training after an epoch."""


class FineTuningNet(NeuralNet):
    """skorch's net for images (n, h, w, c), uint8, or for the features of a frozen trunk.

    Parameters
    ----------
    module : FineTunedNetwork
    criterion : ClassificationLoss
    pixel_format : PixelFormat
    build_optimizer : callable
        Returns an optimiser for a network.
    augmentation : callable, default=None
        See `imgfeat.training.augment.build_augmentation`.
    mixup : float, default=0
        Parameter of the beta distribution by which pairs of images are mixed [1]_; 0 means none.
    precision : {"fp32", "bf16", "fp16"}
    balanced : bool, default=False
        Whether training images are drawn so that classes have equal shares.
    validation : ImageSet, default=None
    **options : dict
        Parameters of skorch's NeuralNet.

    References
    ----------
    .. [1] H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
           arXiv:1710.09412.
    """

    def __init__(
        self,
        module: FineTunedNetwork,
        criterion: ClassificationLoss,
        *,
        pixel_format: PixelFormat,
        build_optimizer: Callable[[FineTunedNetwork], optim.Optimizer],
        augmentation: Callable[..., Tensor] | None = None,
        mixup: float = 0.0,
        precision: str = "fp32",
        balanced: bool = False,
        validation: ImageSet | None = None,
        **options: Any,
    ):
        super().__init__(
            module,
            criterion,
            iterator_train=BatchIterator,
            iterator_train__shuffle=True,
            iterator_train__balanced=balanced,
            iterator_valid=BatchIterator,
            train_split=None if validation is None else predefined_split(validation),
            verbose=0,
            **options,
        )
        self.pixel_format = pixel_format
        self.build_optimizer = build_optimizer
        self.augmentation = augmentation
        self.mixup = mixup
        self.precision = precision
        self.balanced = balanced
        self.validation = validation
        # Images whose gradients are computed at once: fewer than a batch if the GPU is too small.
        self.images_at_once = self.batch_size
        self.scaler = torch.amp.GradScaler(enabled=precision == "fp16")

    def get_default_callbacks(self) -> list[tuple[str, Any]]:
        """Return skorch's callbacks without the printed table."""
        return [
            ("epoch_timer", EpochTimer()),
            ("train_loss", PassthroughScoring(name="train_loss", on_train=True)),
            ("valid_loss", PassthroughScoring(name="valid_loss")),
        ]

    def initialize_optimizer(self, triggered_directly: bool | None = None) -> "FineTuningNet":
        """Set `optimizer_`."""
        self.optimizer_ = self.build_optimizer(self.module_)
        return self

    def partial_fit(
        self, X: ImageSet, y: None = None, classes: None = None, **fit_params: Any
    ) -> "FineTuningNet":
        """Train the remaining epochs; unlike skorch's, let KeyboardInterrupt pass."""
        self.notify("on_train_begin", X=X, y=y)
        with contextlib.suppress(StopTraining):
            self.fit_loop(X, epochs=self.max_epochs - len(self.history))
        self.notify("on_train_end", X=X, y=y)
        return self

    def train_step(self, batch: Batch, **fit_params: Any) -> dict[str, Tensor]:
        """Take a step of the optimiser.

        Raises
        ------
        TrainingError
            If the loss is NaN or infinite; no step is taken.
        """
        step = self._retry_with_less(batch)
        if not torch.isfinite(step["loss"]):
            raise TrainingError(
                f"The loss is {step['loss'].item()} in epoch {len(self.history)}. The weights of "
                "the best epoch before it are kept. Use a smaller lr or head_lr, or "
                "precision='fp32'."
            )
        self.scaler.unscale_(self.optimizer_)
        self.notify(
            "on_grad_computed",
            named_parameters=TeeGenerator(self.get_all_learnable_params()),
            batch=batch,
            training=True,
        )
        self.scaler.step(self.optimizer_)
        self.scaler.update()
        return step

    def train_step_single(self, batch: Batch, **fit_params: Any) -> dict[str, Tensor]:
        """Add up the gradients of a batch, `images_at_once` at a time."""
        self._set_training(True)
        inputs, (targets, weights) = batch
        targets, weights = targets.to(self.device), weights.to(self.device)
        total = self.criterion_.weigh(targets, weights).sum()
        share = _draw_share(self.mixup)
        losses, predictions = [], []
        for rows in torch.arange(len(inputs)).split(self.images_at_once):
            partner = rows[torch.randperm(len(rows))] if self.mixup else rows
            prediction = self._forward(inputs[rows], share)
            loss = sum(
                part * self._sum_losses(prediction, targets[other], weights[other])
                for part, other in ((share, rows), (1 - share, partner))
                if part
            ) / total.clamp(min=torch.finfo(total.dtype).tiny)
            self.scaler.scale(loss).backward()
            losses.append(loss.detach())
            predictions.append(prediction.detach())
        return {"loss": torch.stack(losses).sum(), "y_pred": torch.cat(predictions)}
