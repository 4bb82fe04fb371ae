"""What training measured, as a table and as a picture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from imgfeat.training.classifier import CNNClassifier

COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "valid_loss",
    "valid_accuracy",
    "valid_score",
    "lr",
    "head_lr",
    "seconds",
)


def make_rows(history: Sequence[Any]) -> list[dict[str, float]]:
    """Return the numbers of skorch's history, one row for each complete epoch."""
    rows = []
    for entry in history:
        row = {name: entry[name] for name in COLUMNS if name in entry}
        if "dur" in entry:
            rows.append(row | {"seconds": entry["dur"]})
    return rows


def make_frame(rows: Sequence[dict[str, float]]) -> pd.DataFrame:
    """Return rows of `make_rows` as a frame, indexed by epoch, without columns that are empty."""
    frame = pd.DataFrame(list(rows), columns=list(COLUMNS))
    return frame.dropna(axis="columns", how="all").set_index("epoch") if rows else frame


def plot_history(classifier: "CNNClassifier") -> "Figure":
    """Draw loss, accuracy and learning rates of a fitted CNNClassifier by epoch.

    A vertical line marks the epoch whose weights the classifier has.

    Parameters
    ----------
    classifier : CNNClassifier

    Returns
    -------
    figure : matplotlib.figure.Figure
        Not registered with pyplot; ``figure.savefig(path)`` writes it.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from imgfeat.training import CNNClassifier, plot_history
    >>> digits = load_digits(n_class=2)
    >>> classifier = CNNClassifier("small_cnn", unfreeze="all", max_epochs=2, random_state=0)
    >>> figure = plot_history(classifier.fit(digits.images / 16, digits.target))
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy', 'learning rate']
    """
    check_is_fitted(classifier, "history_")
    from matplotlib.figure import Figure

    history = classifier.history_
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    panels = {
        "loss": ("train_loss", "valid_loss"),
        "accuracy": ("train_accuracy", "valid_accuracy"),
        "learning rate": ("lr", "head_lr"),
    }
    for axes, (title, names) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for name in names:
            if name in history:
                axes.plot(history.index, history[name], marker=".", label=name)
        axes.axvline(classifier.best_epoch_, color="gray", linestyle=":")
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.legend()
    return figure
