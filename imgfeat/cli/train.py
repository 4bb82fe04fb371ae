"""`imgfeat train`: fit a recipe on a folder of images."""

import argparse
import sys
import time

from imgfeat.cli.arguments import Subcommands, add_recipe_and_folder, add_seed, add_skip_bad
from imgfeat.cli.inputs import list_folder
from imgfeat.cli.models import check_out


def add_parser(commands: Subcommands) -> None:
    """Add `imgfeat train` to the commands."""
    parser = commands.add_parser("train", help="fit a recipe and save the model")
    add_recipe_and_folder(parser)
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="model file to write, such as m.skops"
    )
    add_seed(parser, "the recipe")
    add_skip_bad(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Fit a recipe and save the model."""
    from imgfeat.persistence import save_model
    from imgfeat.recipes import load_recipe

    out = check_out(arguments.out)
    recipe = load_recipe(arguments.recipe)
    X, y = list_folder(arguments.folder, ["train"], verify=arguments.skip_bad)
    n_classes = len(set(y))
    print(
        f"Fitting {recipe.name} on {len(X)} images of {n_classes} classes ...",
        file=sys.stderr,
        flush=True,
    )
    start = time.perf_counter()
    model = recipe.build(random_state=arguments.seed).fit(X, y)
    save_model(model, out)
    print(f"Fitted in {time.perf_counter() - start:.1f} s: {out}", file=sys.stderr)
    return 0
