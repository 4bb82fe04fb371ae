"""Command-line arguments that several subcommands share."""

import argparse
from collections.abc import Callable, Sequence
from typing import Protocol

from imgfeat._near_names import suggest


class Subcommands(Protocol):
    """What ``ArgumentParser.add_subparsers`` returns, whose class is private in argparse."""

    def add_parser(self, name: str, *, help: str) -> argparse.ArgumentParser:
        """Add the parser of a subcommand."""
        ...


def add_recipe_and_folder(command: argparse.ArgumentParser) -> None:
    """Add the recipe to fit and the folder of training images."""
    command.add_argument("recipe", help="name or file of a recipe")
    command.add_argument("folder", help="folder with one subfolder per class")


def add_folds(command: argparse.ArgumentParser) -> None:
    """Add the option --folds."""
    command.add_argument(
        "--folds", type=at_least(2), default=5, help="number of cross-validation folds (default: 5)"
    )


def add_seed(command: argparse.ArgumentParser, seeded: str) -> None:
    """Add the option --seed; `seeded` names what it seeds, such as "the recipe"."""
    command.add_argument(
        "--seed", type=int, default=0, help=f"random seed of {seeded} (default: 0)"
    )


def add_skip_bad(command: argparse.ArgumentParser) -> None:
    """Add the option --skip-bad."""
    command.add_argument(
        "--skip-bad", action="store_true", help="leave out images that cannot be read"
    )


def add_trust(command: argparse.ArgumentParser) -> None:
    """Add the option --trust."""
    command.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="NAME",
        help="type or function that the model file may load besides the trusted ones of imgfeat, "
        "or parameter that may keep a path, such as CNNEmbedding.backbone; may be repeated",
    )


def at_least(least: int) -> Callable[[str], int]:
    """Return a type for argparse: integers that are at least `least`."""

    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return value

    return read


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return a type for argparse: one of several names, with suggestions for misspelled ones."""

    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"got {text!r}. {suggest(text, names)}Choose from {', '.join(names)}"
            )
        return text

    return read
