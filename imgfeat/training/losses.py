"""Losses with class weights, sample weights, label smoothing, and soft targets of mixup."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

LossName = Literal["cross_entropy", "focal", "bce"]


class ClassificationLoss(nn.Module):
    """The weighted mean of the losses of the images of a batch.

    Parameters
    ----------
    loss : {"cross_entropy", "focal", "bce"}
        For classes, the cross-entropy of the softmax, its focal version [1]_, or the sum of the
        binary cross-entropies of one class against the rest. For labels, the first is "bce", and
        the second the focal version of that.
    multilabel : bool
        Whether targets are indicator rows.
    weights : Tensor of shape (n_outputs,), default=None
        Weights of classes; for labels, of the images that have the label.
    label_smoothing : float, default=0
        Share of the target that is spread over all classes; for labels, over 0 and 1.
    gamma : float, default=2
        Exponent of the focal loss.

    References
    ----------
    .. [1] T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, arXiv:1708.02002.

    Examples
    --------
    >>> import torch
    >>> from imgfeat.training.losses import ClassificationLoss
    >>> loss = ClassificationLoss("cross_entropy", multilabel=False)
    >>> loss(torch.zeros(3, 4), torch.tensor([0, 1, 3])).item()
    1.386...
    """

    weights: Tensor | None

    def __init__(
        self,
        loss: LossName,
        multilabel: bool,
        weights: Tensor | None = None,
        label_smoothing: float = 0.0,
        gamma: float = 2.0,
    ):
        super().__init__()
        self.loss = "bce" if multilabel and loss == "cross_entropy" else loss
        self.multilabel = multilabel
        self.label_smoothing = label_smoothing
        self.gamma = gamma
        self.register_buffer("weights", weights)

    def forward(
        self, logits: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (n, n_outputs)
        targets : Tensor of shape (n,), integer, or (n, n_outputs)
        sample_weight : Tensor of shape (n,), default=None
        """
        losses = self.compute_each(logits, targets)
        weights = self.weigh(targets, sample_weight)
        return (losses * weights).sum() / weights.sum().clamp(min=torch.finfo(losses.dtype).tiny)

    def compute_each(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of each image, of shape (n,), without weights of classes."""
        logits = logits.float()
        if self.loss == "cross_entropy":
            return functional.cross_entropy(
                logits, targets, reduction="none", label_smoothing=self.label_smoothing
            )
        if self.loss == "focal" and not self.multilabel:
            log_p = functional.log_softmax(logits, dim=1)
            shares = self._smooth(functional.one_hot(targets, logits.shape[1]).float())
            return -(shares * (1 - log_p.exp()) ** self.gamma * log_p).sum(dim=1)
        indicators = targets if self.multilabel else functional.one_hot(targets, logits.shape[1])
        shares = self._smooth(indicators.float())
        positive = self.weights if self.multilabel else None
        terms = functional.binary_cross_entropy_with_logits(
            logits, shares, pos_weight=positive, reduction="none"
        )
        if self.loss == "focal":
            p = logits.sigmoid()
            wrong = indicators * (1 - p) + (1 - indicators) * p
            terms = terms * wrong**self.gamma
        return terms.mean(dim=1) if self.multilabel else terms.sum(dim=1)

    def weigh(self, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
        """Return the weight of each image, of shape (n,)."""
        weights = torch.ones(len(targets), device=targets.device)
        if self.weights is not None and not self.multilabel:
            weights = self.weights[targets]
        return weights if sample_weight is None else weights * sample_weight

    def _smooth(self, targets: Tensor) -> Tensor:
        share = 1 / 2 if self.multilabel or self.loss == "bce" else 1 / targets.shape[1]
        return targets * (1 - self.label_smoothing) + self.label_smoothing * share
