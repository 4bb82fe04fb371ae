"""skorch callbacks: accuracy, best weights, early stopping, gradual unfreezing, progress."""

from collections.abc import Sequence
from typing import Any

import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from skorch.callbacks import Callback
from torch import Tensor
from tqdm import tqdm

from imgfeat.training.freezing import LayerOrder, list_frozen
from imgfeat.training.loop import FineTuningNet, StopTraining
from imgfeat.training.optimizers import get_rate

PROGRESS_DELAY_SECONDS = 2.0


class Accuracy(Callback):
    """Records accuracies and learning rates of an epoch in the history.

    Parameters
    ----------
    balanced : bool
        Whether "valid_score" is the balanced accuracy.
    """

    def __init__(self, balanced: bool):
        self.balanced = balanced

    def on_epoch_begin(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Forget the predictions of the epoch before."""
        self.pairs_: dict[bool, list[tuple[Tensor, Tensor]]] = {True: [], False: []}
        for part in ("trunk", "head"):
            rate = get_rate(net.optimizer_, part)
            if rate is not None:
                net.history.record("lr" if part == "trunk" else "head_lr", rate)

    def on_batch_end(
        self, net: FineTuningNet, batch: Any, training: bool, y_pred: Tensor, **kwargs: Any
    ) -> None:
        """Keep the predictions of a batch."""
        targets = batch[1][0]
        predicted = (y_pred > 0) if targets.ndim == 2 else y_pred.argmax(dim=1)
        self.pairs_[training].append((targets, predicted.cpu()))

    def on_epoch_end(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Record the accuracies."""
        for training, prefix in ((True, "train"), (False, "valid")):
            if not self.pairs_[training]:
                continue
            columns = zip(*self.pairs_[training], strict=True)
            targets, predicted = (torch.cat(column).numpy() for column in columns)
            accuracy = float(accuracy_score(targets, predicted))
            net.history.record(f"{prefix}_accuracy", accuracy)
            if not training and self.balanced and targets.ndim == 1:
                accuracy = float(balanced_accuracy_score(targets, predicted))
            if not training:
                net.history.record("valid_score", accuracy)


class BestWeights(Callback):
    """Keeps a copy of the weights of the best epoch, and restores them after training.

    The best epoch is that of the highest validation score, and among equal scores that of the
    lowest validation loss; without a validation part, it is the last one.

    Attributes
    ----------
    weights_ : dict of str to Tensor
        State of the network after the best epoch, or before training.
    rank_ : tuple of float
        Score and negative loss of the best epoch.
    epoch_ : int
        Number of the best epoch, from 1.
    """

    def on_train_begin(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Keep the weights with which training begins."""
        self.rank_ = (-float("inf"), -float("inf"))
        self.epoch_ = 0
        self._copy_weights(net)

    def on_epoch_end(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Keep the weights if they are better."""
        row = net.history[-1]
        rank = (row.get("valid_score", row["epoch"]), -row.get("valid_loss", 0.0))
        if rank > self.rank_:
            self.rank_, self.epoch_ = rank, row["epoch"]
            self._copy_weights(net)

    def restore(self, net: FineTuningNet) -> None:
        """Load the weights of the best epoch into the network."""
        net.module_.load_state_dict(self.weights_)

    def _copy_weights(self, net: FineTuningNet) -> None:
        state = net.module_.state_dict()
        self.weights_ = {name: value.detach().clone() for name, value in state.items()}


class EarlyStopping(Callback):
    """Ends training when several epochs in a row were not better than the best one.

    Parameters
    ----------
    best : BestWeights
    patience : int
        Number of epochs.
    """

    def __init__(self, best: BestWeights, patience: int):
        self.best = best
        self.patience = patience

    def on_train_begin(self, net: FineTuningNet, **kwargs: Any) -> None:
        """End training at once if the run that is continued was at its end."""
        self.on_epoch_end(net)

    def on_epoch_end(self, net: FineTuningNet, **kwargs: Any) -> None:
        """End training if the best epoch is `patience` epochs ago."""
        if net.history and net.history[-1, "epoch"] - self.best.epoch_ >= self.patience:
            raise StopTraining


class GradualUnfreezing(Callback):
    """Trains the classifier first, then one more block every few epochs [1]_.

    Parameters
    ----------
    order : LayerOrder
    starts : sequence of float
        Position from which the trunk is trained in each stage.
    n_epochs : int
        Number of epochs of a stage.

    References
    ----------
    .. [1] J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text Classification",
           ACL 2018, arXiv:1801.06146.
    """

    def __init__(self, order: LayerOrder, starts: Sequence[float], n_epochs: int):
        self.order = order
        self.starts = starts
        self.n_epochs = n_epochs

    def on_epoch_begin(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Freeze and unfreeze modules of the trunk for this epoch."""
        stage = min((net.history[-1, "epoch"] - 1) // self.n_epochs, len(self.starts) - 1)
        net.module_.freeze(list_frozen(self.order, self.starts[stage]))


class Progress(Callback):
    """A progress bar over all epochs, with loss, accuracy and the time left.

    Parameters
    ----------
    n_batches : int
        Number of training batches of an epoch.
    verbose : int
        2 also prints one line for each epoch.
    """

    def __init__(self, n_batches: int, verbose: int):
        self.n_batches = n_batches
        self.verbose = verbose

    def on_train_begin(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Open the bar."""
        self.bar_ = tqdm(
            total=self.n_batches * net.max_epochs,
            initial=self.n_batches * len(net.history),
            desc="training", unit="batch", delay=PROGRESS_DELAY_SECONDS, leave=False, disable=None,
        )  # fmt: skip

    def on_batch_end(self, net: FineTuningNet, training: bool, loss: Tensor, **kwargs: Any) -> None:
        """Move the bar by a training batch."""
        if training:
            self.bar_.update()

    def on_epoch_end(self, net: FineTuningNet, **kwargs: Any) -> None:
        """Show loss and accuracy."""
        row = net.history[-1]
        names = ("train_loss", "valid_loss", "valid_accuracy")
        shown = {name: f"{row[name]:.4f}" for name in names if name in row}
        self.bar_.set_postfix(epoch=f"{row['epoch']}/{net.max_epochs}", **shown)
        if self.verbose > 1:
            values = ", ".join(f"{name} {value}" for name, value in shown.items())
            tqdm.write(f"epoch {row['epoch']}/{net.max_epochs}: {values}, {row['dur']:.1f} s")

    def close(self) -> None:
        """Remove the bar."""
        if hasattr(self, "bar_"):
            self.bar_.close()
