"""`imgfeat recipes`: list the built-in recipes with their descriptions."""

import argparse

from imgfeat.cli.arguments import Subcommands


def add_parser(commands: Subcommands) -> None:
    """Add `imgfeat recipes` to the commands."""
    parser = commands.add_parser("recipes", help="list the built-in recipes")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print names and descriptions of the recipes."""
    from imgfeat.recipes import list_recipes

    described = list_recipes()
    width = max(map(len, described))
    for name, description in described.items():
        print(f"{name:{width}}  {description}")
    return 0
