"""The `imgfeat` command: one file a subcommand, with `add_parser` and `run`."""

from imgfeat.cli.command import main

__all__ = ["main"]
