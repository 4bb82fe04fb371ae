"""The entry point of the `imgfeat` command."""

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

import imgfeat
from imgfeat._near_names import suggest
from imgfeat._optional import MissingExtraError
from imgfeat.cli import (
    augment_preview,
    benchmark,
    check,
    evaluate,
    export,
    predict,
    recipes,
    train,
    tune,
)

SUBCOMMANDS = (
    benchmark,
    recipes,
    check,
    augment_preview,
    train,
    tune,
    evaluate,
    predict,
    export,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 1 if some items failed, or 2 on an error."""
    arguments = argparse.Namespace()
    _escape_output()
    try:
        with _flush_output(), _short_warnings():
            arguments = _parse(sys.argv[1:] if argv is None else argv)
            return arguments.run(arguments)
    except BrokenPipeError:
        # The reader of the output, such as head, has closed the pipe. Python's flush at exit must
        # not fail on it.
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
    """Escape characters that the encoding of standard output lacks, instead of raising."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _flush_output() -> Iterator[None]:
    """Flush standard output on leaving, so that a closed pipe raises here and not at exit."""
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


@contextlib.contextmanager
def _short_warnings() -> Iterator[None]:
    """Print warnings as messages of the command, without the source line."""
    before = warnings.formatwarning
    warnings.formatwarning = _format_warning
    try:
        yield
    finally:
        warnings.formatwarning = before


def _format_warning(message: Warning | str, *_: object, **__: object) -> str:
    return f"imgfeat: warning: {' '.join(str(message).split())}\n"


def _remedy(error: Exception, arguments: argparse.Namespace) -> str:
    from imgfeat.images.decoding import ImageReadError

    if isinstance(error, ImageReadError) and hasattr(arguments, "skip_bad"):
        return " Use --skip-bad to leave such images out."
    return ""


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="imgfeat", description="Image classification with scikit-learn."
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
