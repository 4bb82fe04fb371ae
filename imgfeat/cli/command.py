"""The `imgfeat` command."""

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import imgfeat
from imgfeat._near_names import suggest
from imgfeat._optional import MissingExtraError
from imgfeat.cli import benchmark, check, evaluate, export, predict, recipes, train, tune

SUBCOMMANDS = (benchmark, recipes, check, train, tune, evaluate, predict, export)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 if something failed on the way, 2 on errors."""
    arguments = argparse.Namespace()
    _escape_output()
    try:
        with _flush_output(), _short_warnings():
            arguments = _parse(sys.argv[1:] if argv is None else argv)
            return arguments.run(arguments)
    except BrokenPipeError:
        # Whoever read our output, such as head, has seen enough; the last flush must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (ValueError, TypeError, OSError, MissingExtraError) as error:
        print(f"imgfeat: error: {error}{_remedy(error, arguments)}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"imgfeat: error: not enough memory: {error}".rstrip(": "), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("imgfeat: interrupted", file=sys.stderr)
        return 130


def _escape_output() -> None:
    """Write what the terminal or the file cannot take, such as a name in no encoding, escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _flush_output() -> Iterator[None]:
    """Notice a reader that has gone here, not when Python ends; help and version end it at once."""
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


@contextlib.contextmanager
def _short_warnings() -> Iterator[None]:
    """Print warnings as messages of the command, without the line of code that they came from."""
    before = warnings.formatwarning
    warnings.formatwarning = _format_warning
    try:
        yield
    finally:
        warnings.formatwarning = before


def _format_warning(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"imgfeat: warning: {' '.join(str(message).split())}\n"


def _remedy(error: Exception, arguments: argparse.Namespace) -> str:
    from imgfeat.images.decoding import ImageReadError

    if isinstance(error, ImageReadError) and hasattr(arguments, "skip_bad"):
        return " --skip-bad leaves such images out."
    return ""


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="imgfeat", description="Image classification for people who live in scikit-learn."
    )
    parser.add_argument("--version", action="version", version=f"imgfeat {imgfeat.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for subcommand in SUBCOMMANDS:
        subcommand.add_parser(commands)
    names = list(commands.choices)
    if argv and not argv[0].startswith("-") and argv[0] not in names:
        parser.error(
            f"there is no command {argv[0]!r}. {suggest(argv[0], names)}Commands are "
            f"{', '.join(names)}."
        )
    return parser.parse_args(argv)
