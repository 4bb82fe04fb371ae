"""Plots of a report as PNG files, drawn without a display or matplotlib's global state."""

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from imgfeat.evaluation.evaluate import Evaluation
from imgfeat.evaluation.metrics.measures import COUNTED, N_BINS, bin_confidence, find_confidence
from imgfeat.evaluation.report.layout import name_metric, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Draws one curve: axes, true labels, scores, label of the curve.
DrawCurve = Callable[["Axes", NDArray[Any], NDArray[Any], str], None]
# With more classes than this, a confusion matrix has no numbers, and bars, matrices of labels and
# curves show only the classes with the lowest scores.
MAX_CLASSES = 20
MAX_CURVES = 10
COLORS = {"precision": "#2f6db3", "recall": "#e08f2c", "f1": "#4a9a5b"}


def draw_pictures(evaluation: Evaluation) -> dict[str, bytes]:
    """Draw all plots for which an evaluation has the data.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    pictures : dict of str to bytes
        PNG files by title.
    """
    import matplotlib

    drawn: dict[str, Callable[[Evaluation], Figure]] = {"Confusion matrix": draw_confusion}
    if evaluation.kind == "multilabel":
        drawn = {"Confusion matrices": draw_label_confusions}
    drawn["Precision, recall and F1"] = draw_bars
    if evaluation.outputs.scores is not None and _find_rankable(evaluation):
        drawn |= {"ROC curves": draw_roc, "Precision-recall curves": draw_precision_recall}
    if evaluation.outputs.probabilistic:
        drawn["Calibration"] = draw_calibration
    # A $ in the name of a class does not start a formula.
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        return {title: _to_png(draw(evaluation)) for title, draw in drawn.items()}


def draw_confusion(evaluation: Evaluation) -> "Figure":
    """Draw the confusion matrix: counts, shaded by their fraction of the true class.

    The evaluation is that of a binary or multiclass model.
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    k = len(evaluation.classes)
    few = k <= MAX_CLASSES
    side = 3 + 0.42 * min(k, MAX_CLASSES)
    figure, ax = _start(side + 0.6, side)
    counts = evaluation.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    display = ConfusionMatrixDisplay(shares, display_labels=_name_classes(evaluation))
    display.plot(
        ax=ax,
        include_values=few,
        cmap="Blues",
        xticks_rotation="vertical",
        im_kw={"vmin": 0, "vmax": 1},
    )
    if few:
        for cell, count in zip(display.text_.flat, counts.flat, strict=True):
            cell.set_text(f"{count:,}" if count else "")
    else:
        kept = np.linspace(0, k - 1, MAX_CLASSES).round().astype(int)
        names = np.array(_name_classes(evaluation))[kept]
        ax.set_xticks(kept, names)
        ax.set_yticks(kept, names)
    return figure


def draw_label_confusions(evaluation: Evaluation) -> "Figure":
    """Draw the 2 x 2 matrix of each label, or of those with the lowest F1 if there are many.

    The evaluation is that of a multi-label model.
    """
    from matplotlib.figure import Figure
    from sklearn.metrics import ConfusionMatrixDisplay

    chosen = _choose_worst(evaluation, "f1", MAX_CLASSES)
    n_columns = min(5, len(chosen))
    n_rows = -(-len(chosen) // n_columns)
    figure = Figure(figsize=(2.1 * n_columns + 0.4, 2.3 * n_rows + 0.2), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax in axes[len(chosen) :]:
        ax.set_axis_off()
    names = _name_classes(evaluation)
    for ax, k in zip(axes, chosen, strict=False):
        display = ConfusionMatrixDisplay(evaluation.confusion[k], display_labels=["no", "yes"])
        display.plot(ax=ax, cmap="Blues", colorbar=False, values_format="d")
        ax.set(title=names[k], xlabel="", ylabel="")
    figure.supxlabel("Predicted label")
    figure.supylabel("True label")
    return figure


def draw_bars(evaluation: Evaluation) -> "Figure":
    """Draw precision, recall and F1 of each class, or of the lowest F1 if there are many."""
    chosen = _choose_worst(evaluation, "f1", MAX_CLASSES)
    figure, ax = _start(7, 1.2 + 0.45 * len(chosen))
    places = np.arange(len(chosen))
    for i, metric in enumerate(COUNTED):
        found = [evaluation.per_class[k][metric] for k in chosen]
        numbers = np.array([(e.value, e.low, e.high) if e else (np.nan,) * 3 for e in found])
        value, low, high = np.nan_to_num(numbers).T
        reach = np.maximum([value - low, high - value], 0)
        ax.barh(
            places + 0.27 * (i - 1),
            value,
            height=0.26,
            xerr=reach,
            error_kw={"lw": 0.8},
            color=COLORS[metric],
            label=name_metric(metric),
        )
    names = _name_classes(evaluation)
    ax.set_yticks(places, [names[k] for k in chosen])
    few = len(chosen) == len(names)
    which = (
        "with intervals" if few else f"with intervals, for the {len(chosen)} classes of lowest F1"
    )
    ax.set(xlim=(0, 1), xlabel=f"precision, recall and F1, {which}")
    ax.invert_yaxis()
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    return figure


def draw_roc(evaluation: Evaluation) -> "Figure":
    """Draw the one-vs-rest ROC curve of each class, or of the lowest areas if there are many.

    The evaluation has scores.
    """
    from sklearn.metrics import RocCurveDisplay

    def draw(ax: "Axes", y_true: NDArray[Any], scores: NDArray[Any], label: str) -> None:
        fpr, tpr, _ = roc_curve(y_true, scores)
        RocCurveDisplay(fpr=fpr, tpr=tpr).plot(ax=ax, curve_kwargs={"label": label})

    figure, ax = _draw_curves(evaluation, "roc_auc", draw)
    ax.plot([0, 1], [0, 1], color="#999999", lw=0.8, ls="--")
    return figure


def draw_precision_recall(evaluation: Evaluation) -> "Figure":
    """Draw the precision-recall curve of each class, or of the lowest areas if there are many.

    The evaluation has scores.
    """
    from sklearn.metrics import PrecisionRecallDisplay

    def draw(ax: "Axes", y_true: NDArray[Any], scores: NDArray[Any], label: str) -> None:
        precision, recall, _ = precision_recall_curve(y_true, scores)
        display = PrecisionRecallDisplay(precision, recall)
        display.plot(ax=ax, curve_kwargs={"label": label})

    figure, _ = _draw_curves(evaluation, "pr_auc", draw)
    return figure


def draw_calibration(evaluation: Evaluation) -> "Figure":
    """Draw the calibration curve, and the histogram of the predicted probabilities.

    The evaluation has probabilities.
    """
    from matplotlib.figure import Figure
    from sklearn.calibration import CalibrationDisplay

    confidence, correct = find_confidence(evaluation.outputs)
    confidence, correct = confidence.ravel(), correct.ravel()
    bins = bin_confidence(confidence)
    counts = np.bincount(bins, minlength=N_BINS)
    used = counts > 0
    shares = np.bincount(bins, correct, N_BINS)[used] / counts[used]
    means = np.bincount(bins, confidence, N_BINS)[used] / counts[used]
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    CalibrationDisplay(shares, means, confidence).plot(ax=upper, color=COLORS["precision"])
    upper.set(xlabel="", ylabel="fraction correct")
    lower.hist(confidence, bins=np.linspace(0, 1, N_BINS + 1).tolist(), color=COLORS["precision"])
    what = "of each label" if evaluation.kind == "multilabel" else "of the most probable class"
    lower.set(xlabel=f"probability {what}", ylabel="predictions", xlim=(0, 1))
    return figure


def _draw_curves(evaluation: Evaluation, metric: str, draw: DrawCurve) -> "tuple[Figure, Axes]":
    figure, ax = _start(6.7, 4.5)
    outputs, names = evaluation.outputs, _name_classes(evaluation)
    assert outputs.scores is not None
    # Two classes have one curve, that of the second, positive class.
    chosen = _find_rankable(evaluation)
    chosen = [1] if evaluation.kind == "binary" else chosen
    for k in _choose_worst(evaluation, metric, MAX_CURVES, among=chosen):
        area = evaluation.per_class[k][metric]
        # The number comes first: matplotlib hides labels that begin with an underscore.
        label = f"{area.value if area else np.nan:.3f} {names[k]}"
        draw(ax, outputs.y_true[:, k], outputs.scores[:, k], label)
    legend = ax.get_legend()
    if legend is not None:
        legend.remove()
    title = "area, class" if len(chosen) <= MAX_CURVES else f"the {MAX_CURVES} lowest: area, class"
    figure.legend(loc="outside right upper", frameon=False, title=title, fontsize="small")
    return figure, ax


def _find_rankable(evaluation: Evaluation) -> list[int]:
    """Return the classes with both positive and negative images."""
    support = np.array(evaluation.support)
    return np.flatnonzero((support > 0) & (support < evaluation.n)).tolist()


def _choose_worst(
    evaluation: Evaluation, metric: str, count: int, among: list[int] | None = None
) -> list[int]:
    """Return the classes with the lowest scores, in order; undefined scores count as highest."""
    among = list(range(len(evaluation.classes))) if among is None else among
    found = [evaluation.per_class[k][metric] for k in among]
    values = np.array([np.nan if e is None else e.value for e in found])
    return sorted(among[i] for i in np.argsort(values, kind="stable")[:count])


def _name_classes(evaluation: Evaluation) -> list[str]:
    return [shorten(str(name), 24) for name in evaluation.classes]


def _start(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _to_png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
