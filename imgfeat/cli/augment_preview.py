"""`imgfeat augment-preview`: draw images beside augmented copies of them."""

import argparse
import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgfeat.cli.inputs import list_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from imgfeat.training.augment import Augmentation

# Inches.
CELL = 1.3
TITLE_LINE = 0.22


def add_parser(commands: Any) -> None:
    """Add `imgfeat augment-preview` to the commands."""
    parser = commands.add_parser(
        "augment-preview", help="draw images of a folder beside augmented copies of them"
    )
    parser.add_argument("folder", help="folder of images, or of folders of images")
    parser.add_argument(
        "--augment",
        nargs="+",
        default=["standard"],
        metavar="NAME",
        help="light, standard or strong, or names of transforms (default: standard)",
    )
    parser.add_argument(
        "--out",
        default="augment_preview.png",
        metavar="FILE",
        help="PNG file to write (default: augment_preview.png)",
    )
    parser.add_argument("--images", type=_count, default=6, help="number of images (default: 6)")
    parser.add_argument("--draws", type=_count, default=6, help="copies of each (default: 6)")
    parser.add_argument(
        "--size", type=_count, default=160, help="side of the images in pixels (default: 160)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw the images and their copies, and write the file."""
    from imgfeat._files import check_target, replace_atomically
    from imgfeat.images.loading import ImageLoader
    from imgfeat.training.augment import build_augmentation, describe_augmentation

    out = Path(arguments.out)
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out must name a .png file, got {arguments.out!r}.")
    check_target(out)
    names = arguments.augment[0] if len(arguments.augment) == 1 else arguments.augment
    shape = (arguments.size, arguments.size, 3)
    augmentation = build_augmentation(names, image_shape=shape, seed=arguments.seed)
    paths = list_images(arguments.folder)
    if not paths:
        raise ValueError(f"There are no images in {arguments.folder!r}.")
    # Equally spaced in the sorted list, so that they come from several classes.
    rows = np.unique(np.linspace(0, len(paths) - 1, arguments.images).round().astype(int))
    chosen = [paths[row] for row in rows]
    images = ImageLoader(arguments.size).fit_transform(chosen)
    copies = draw_copies(images, augmentation, arguments.draws)
    title = f"{' '.join(arguments.augment)}: {describe_augmentation(names)}"
    figure = draw_sheet(images, copies, [Path(path).parent.name for path in chosen], title)
    with replace_atomically(out) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # folder names in other scripts
        figure.savefig(temporary, format="png", dpi=100)
    print(f"{out}: {len(images)} images, {arguments.draws} copies of each")
    return 0


def draw_copies(
    images: NDArray[np.uint8], augmentation: "Augmentation", n: int
) -> NDArray[np.float32]:
    """Return n augmented copies of each image, of shape (n_images, n, h, w, 3)."""
    import torch

    pixels = torch.from_numpy(np.array(images.transpose(0, 3, 1, 2), np.float32) / 255)
    draws = [augmentation(pixels) for _ in range(n)]
    return torch.stack(draws, dim=1).permute(0, 1, 3, 4, 2).clamp(0, 1).numpy()


def draw_sheet(
    images: NDArray[np.uint8], copies: NDArray[np.float32], labels: list[str], title: str
) -> "Figure":
    """Draw one row for each image: the original, then its copies.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, 3)
    copies : ndarray of shape (n, n_copies, h, w, 3)
    labels : list of str
        Printed beside the rows.
    title : str

    Returns
    -------
    figure : matplotlib Figure
    """
    from matplotlib.figure import Figure

    n_rows, n_columns = len(images), copies.shape[1] + 1
    width = n_columns * CELL + 0.6
    lines = textwrap.wrap(title, max(30, int(width * 11)))
    height = n_rows * CELL + 0.3 + TITLE_LINE * len(lines)
    figure = Figure(figsize=(width, height), layout="constrained")
    # A $ in the name of a folder does not start a formula.
    figure.suptitle("\n".join(lines), fontsize=10, parse_math=False)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for row, image, own, label in zip(axes, images, copies, labels, strict=True):
        for ax, picture in zip(row, [image, *own], strict=True):
            ax.imshow(picture)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        row[0].set_ylabel(textwrap.shorten(label, 20, placeholder="..."), parse_math=False)
    axes[0, 0].set_title("original", fontsize=9)
    axes[0, 1].set_title("augmented", fontsize=9)
    return figure


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return value
