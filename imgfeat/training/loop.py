"""The training loop: a skorch net that augments, mixes and accumulates on the device."""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
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
TINY = torch.finfo(torch.float32).tiny


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
        with contextlib.suppress(StopTraining):
            self.notify("on_train_begin", X=X, y=y)
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
        self.optimizer_.zero_grad()
        self.module_.train()
        inputs, (targets, weights) = batch
        targets, weights = targets.to(self.device), weights.to(self.device)
        total = self.criterion_.weigh(targets, weights).sum().clamp(min=TINY)
        share = _draw_share(self.mixup)
        losses, predictions = [], []
        for rows in torch.arange(len(inputs)).split(self.images_at_once):
            shuffled = torch.randperm(len(rows)) if share < 1 else torch.arange(len(rows))
            logits = self._predict_mixed(inputs[rows], shuffled, share)
            loss = share * self._sum_losses(logits, targets[rows], weights[rows])
            if share < 1:
                others = rows[shuffled]
                loss += (1 - share) * self._sum_losses(logits, targets[others], weights[others])
            loss = loss / total
            self.scaler.scale(loss).backward()
            losses.append(loss.detach())
            predictions.append(logits.detach())
        return {"loss": torch.stack(losses).sum(), "y_pred": torch.cat(predictions)}

    def validation_step(self, batch: Batch, **fit_params: Any) -> dict[str, Tensor]:
        """Return loss and logits of a batch, in evaluation mode."""
        self.module_.eval()
        inputs, (targets, weights) = batch
        with torch.inference_mode():
            parts = [self.infer(part) for part in inputs.split(self.images_at_once)]
            logits = torch.cat(parts)
            loss = self.criterion_(logits, targets.to(self.device), weights.to(self.device))
        return {"loss": loss, "y_pred": logits}

    def infer(self, x: Tensor, **fit_params: Any) -> Tensor:
        """Return the logits of images (n, h, w, c), uint8, or of features (n, d)."""
        x = x.to(self.device)
        with autocast(self.device, self.precision):
            if x.ndim == 2:
                return self.module_.classify(x).float()
            return self.module_(self.pixel_format.convert(x)).float()

    def _predict_mixed(self, inputs: Tensor, shuffled: Tensor, share: float) -> Tensor:
        """Return the logits of augmented images, each mixed with another one."""
        inputs = inputs.to(self.device)
        with autocast(self.device, self.precision):
            if inputs.ndim == 2:
                return self.module_.classify(inputs).float()
            pixels = self.pixel_format.convert(inputs, self.augmentation)
            if share < 1:
                pixels = share * pixels + (1 - share) * pixels[shuffled.to(self.device)]
            return self.module_(pixels).float()

    def _sum_losses(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        each = self.criterion_.compute_each(logits, targets)
        return (each * self.criterion_.weigh(targets, weights)).sum()

    def _retry_with_less(self, batch: Batch) -> dict[str, Tensor]:
        while True:
            try:
                return self.train_step_single(batch)
            except torch.OutOfMemoryError as error:
                half = min(self.images_at_once, len(batch[0])) // 2
                if half < 1:
                    raise TrainingError(
                        f"One image of {self.pixel_format.image_size} pixels does not fit the "
                        f"memory of {self.device}. Use a smaller image_size, a smaller backbone "
                        "or precision='bf16'."
                    ) from error
                self.images_at_once = half
            # Outside the handler, whose traceback holds the tensors of the failed step.
            warnings.warn(
                f"A batch does not fit the memory of {self.device}: its gradients are now "
                f"accumulated from {half} images at a time. The batch size of the optimiser stays "
                f"{self.batch_size}.",
                UserWarning,
                stacklevel=2,
            )
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def autocast(device: str | torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Return the context in which a network computes in a precision."""
    dtype = DTYPES[precision]
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype=dtype)


def _draw_share(mixup: float) -> float:
    """Draw the share of the first image of a pair, from torch's global generator."""
    if not mixup:
        return 1.0
    return torch.distributions.Beta(mixup, mixup).sample().item()
