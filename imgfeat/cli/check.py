"""`imgfeat check`: count the images of each class, and find damaged files."""

import argparse
import sys
from collections import Counter

from imgfeat.cli.arguments import Subcommands


def add_parser(commands: Subcommands) -> None:
    """Add `imgfeat check` to the commands."""
    parser = commands.add_parser(
        "check", help="count the images of each class and find damaged files"
    )
    parser.add_argument(
        "folder",
        help="folder with one subfolder per class (or train and test folders of these), or images",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the number of images per class, and the damaged files."""
    from tqdm import tqdm

    from imgfeat.evaluation.report.layout import format_columns
    from imgfeat.images.datasets import find_problems
    from imgfeat.images.folders import list_class_folders, list_image_files
    from imgfeat.images.splits import find_split

    status = 0
    for folder in (find_split(arguments.folder) or {"": arguments.folder}).values():
        files = list_class_folders(folder)
        if not files.labels:
            files = list_image_files(folder)
        counts = Counter(files.labels) | Counter(dict.fromkeys(files.empty, 0))
        rows = [(name, f"{counts[name]:,}") for name in sorted({*files.labels, *files.empty})]
        print(f"{folder}: {len(files.paths):,} images")
        if rows:
            print(format_columns([("class", "images"), *rows]))
        if files.left_out:
            print(files.describe_left_out())
        progress = tqdm(
            find_problems(files.paths),
            total=len(files.paths),
            unit="image",
            file=sys.stderr,
            disable=None,
            delay=2,
        )
        problems = [problem for problem in progress if problem is not None]
        damaged = [problem.cause for problem in problems if not problem.readable]
        suspicious = [problem.cause for problem in problems if problem.readable]
        print(f"damaged: {len(damaged):,}", *damaged, sep="\n  ")
        if suspicious:
            print(f"readable, but possibly damaged: {len(suspicious):,}", *suspicious, sep="\n  ")
        status = 1 if damaged else status
    return status
