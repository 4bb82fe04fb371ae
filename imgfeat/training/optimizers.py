"""Optimisers with their parameter groups, and schedules of the learning rate, by name."""

from collections.abc import Callable
from typing import Any

from skorch.callbacks import LRScheduler
from torch import nn, optim
from torch.optim import lr_scheduler

from imgfeat.training.network import FineTunedNetwork

OPTIMIZERS: dict[str, tuple[Callable[..., optim.Optimizer], dict[str, float]]] = {
    "adamw": (optim.AdamW, {}),
    "adam": (optim.Adam, {}),
    "sgd": (optim.SGD, {"momentum": 0.9}),
    "rmsprop": (optim.RMSprop, {}),
}
PLATEAU = {"factor": 0.1, "patience": 2}


def build_optimizer(
    network: FineTunedNetwork, name: str, lr: float, head_lr: float, weight_decay: float
) -> optim.Optimizer:
    """Return an optimiser of the parameters that have gradients.

    Biases, and weights and biases of normalisation layers, are not decayed.

    Parameters
    ----------
    network : FineTunedNetwork
    name : {"adamw", "adam", "sgd", "rmsprop"}
    lr, head_lr : float
        Learning rates of the trunk and of the classifier.
    weight_decay : float
    """
    groups = [
        {"params": parameters, "lr": rate, "weight_decay": decay, "part": part}
        for part, module, rate in (
            ("trunk", network.trunk, lr),
            ("head", network.classifier, head_lr),
        )
        for decay, parameters in _split_parameters(module, weight_decay)
        if parameters
    ]
    kind, options = OPTIMIZERS[name]
    return kind(groups, lr=lr, **options)


def build_scheduler(name: str, n_steps: int, monitor: str) -> LRScheduler:
    """Return a skorch callback with a schedule of the learning rates.

    Parameters
    ----------
    name : {"cosine", "onecycle", "plateau"}
        From the learning rates to 0 along half a cosine, each step; up to the learning rates and
        down again, each step; or a tenth after three epochs without a lower loss.
    n_steps : int
        Number of batches in all epochs.
    monitor : str
        Column of the history that is watched for a plateau.
    """
    if name == "cosine":
        return LRScheduler(lr_scheduler.CosineAnnealingLR, step_every="batch", T_max=n_steps)
    if name == "plateau":
        return LRScheduler(lr_scheduler.ReduceLROnPlateau, monitor=monitor, **PLATEAU)
    return LRScheduler(_build_one_cycle, step_every="batch", total_steps=n_steps)


def _build_one_cycle(optimizer: optim.Optimizer, **options: Any) -> lr_scheduler.OneCycleLR:
    rates = [group["lr"] for group in optimizer.param_groups]
    # RMSprop has no momentum that could be cycled.
    cycled = not isinstance(optimizer, optim.RMSprop)
    return lr_scheduler.OneCycleLR(optimizer, rates, cycle_momentum=cycled, **options)


def get_rate(optimizer: optim.Optimizer, part: str) -> float | None:
    """Return the present learning rate of "trunk" or "head"; None if the part is frozen."""
    rates = (group["lr"] for group in optimizer.param_groups if group["part"] == part)
    return next(rates, None)


def _split_parameters(
    module: nn.Module, weight_decay: float
) -> list[tuple[float, list[nn.Parameter]]]:
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        (weight_decay, [parameter for parameter in trained if parameter.ndim > 1]),
        (0.0, [parameter for parameter in trained if parameter.ndim <= 1]),
    ]
