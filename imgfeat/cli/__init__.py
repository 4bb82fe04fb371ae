"""The `imgfeat` command: one file per subcommand, each with `add_parser` and `run`."""

from imgfeat.cli.command import main

__all__ = ["main"]
