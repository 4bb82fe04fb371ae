"""Draw the pictures of README.md, into docs/images.

    python docs/draw_pictures.py

HOG and LBP of a photograph, plots of a report, and the accuracy and speed of all recipes, of which
the figures are in benchmarks/results/recipes_fashion-mnist.json.
"""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image
from skimage.data import chelsea
from sklearn.model_selection import train_test_split

from imgfeat import CNNEmbedding, hog_image, local_binary_pattern
from imgfeat.datasets import load_digits
from imgfeat.evaluation import evaluate, write_report
from imgfeat.recipes import load_recipe

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
RESULTS = DOCS.parent / "benchmarks" / "results" / "recipes_fashion-mnist.json"
COLORS = {"classical features": "#2f6db3", "with features of a network": "#e08f2c"}
# On the right, the labels of these would cover the points beside them.
LABELED_ON_THE_LEFT = {"fused_kernel", "hog_svm"}


def draw_features() -> Figure:
    """Draw a photograph, the orientation histograms of its cells, and its LBP codes."""
    photograph = chelsea()[:, 60:360]
    panels = {
        "photograph": photograph,
        "HOG: edges by orientation": hog_image(photograph, pixels_per_cell=10) ** 0.5,
        "LBP: local texture patterns": local_binary_pattern(photograph, 8, 2, "uniform"),
    }
    figure = Figure(figsize=(9, 3.3), layout="constrained")
    for axes, (title, picture) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        axes.imshow(picture, cmap="gray")
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    return figure


def draw_report() -> Figure:
    """Draw two of the plots that `write_report` adds to an evaluation."""
    digits = load_digits()
    train, test, known, expected = train_test_split(
        digits.images, digits.target, test_size=0.6, stratify=digits.target, random_state=0
    )
    model = load_recipe("lbp_svm").build().fit(train, known)
    evaluation = evaluate(model, test, expected)
    with tempfile.TemporaryDirectory() as folder:
        write_report(evaluation, f"{folder}/report.md")
        plots = [
            imread(f"{folder}/report_files/{name}.png")
            for name in ("confusion-matrix", "precision-recall-and-f1")
        ]
    widths = [plot.shape[1] / plot.shape[0] for plot in plots]
    figure = Figure(figsize=(9, 9 / sum(widths)), layout="constrained")
    axes = figure.subplots(1, 2, width_ratios=widths)
    for ax, plot in zip(axes, plots, strict=True):
        ax.imshow(plot)
        ax.set_axis_off()
    return figure


def draw_recipes(rows: list[dict[str, Any]]) -> Figure:
    """Draw the accuracy of every recipe against the time that one image takes."""
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    groups: dict[str, list[dict[str, Any]]] = {label: [] for label in COLORS}
    for row in rows:
        parts = load_recipe(row["recipe"]).build().get_params().values()
        deep = any(isinstance(part, CNNEmbedding) for part in parts)
        groups["with features of a network" if deep else "classical features"].append(row)
    for label, group in groups.items():
        times = [1000 / row["images_per_second"] for row in group]
        scores = [row["accuracy"] for row in group]
        axes.scatter(times, scores, color=COLORS[label], label=label, zorder=2)
        for row, time, score in zip(group, times, scores, strict=True):
            left = row["recipe"] in LABELED_ON_THE_LEFT
            axes.annotate(
                row["recipe"],
                (time, score),
                (-7 if left else 7, 0),
                textcoords="offset points",
                fontsize=8,
                ha="right" if left else "left",
                va="center",
            )
    axes.set(
        xscale="log",
        xlim=(0.05, 12),
        xlabel="milliseconds an image, features included",
        ylabel="accuracy",
        title=f"All recipes on Fashion-MNIST, {rows[0]['n_train']:,} images to train on",
    )
    axes.grid(color="0.9", zorder=0)
    axes.legend(loc="lower right")
    return figure


def main() -> None:
    """Write the three pictures."""
    rows = json.loads(RESULTS.read_text())["rows"]
    IMAGES.mkdir(exist_ok=True)
    for name, figure in (
        ("features", draw_features()),
        ("report", draw_report()),
        ("recipes", draw_recipes(rows)),
    ):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        # A palette of 256 colours makes the files a third of the size.
        picture = Image.open(buffer).convert("RGB")
        palette = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE)
        palette.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
