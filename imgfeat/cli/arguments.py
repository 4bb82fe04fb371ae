"""Arguments that several commands share."""

import argparse
from collections.abc import Callable, Sequence

from imgfeat._near_names import suggest


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
        help="of a type or function to load besides those known to be harmless, or of a parameter "
        "that may name files, such as CNNEmbedding.backbone; may be given again",
    )


def at_least(least: int) -> Callable[[str], int]:
    """Return a reader of integers from `least` on, for argparse."""

    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return value

    return read


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Return a reader of one of several names, for argparse, that suggests the nearest."""

    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"got {text!r}. {suggest(text, names)}There are {', '.join(names)}"
            )
        return text

    return read
