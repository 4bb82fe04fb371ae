"""`imgfeat benchmark`: recipes compared on images."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from imgfeat.cli.arguments import add_skip_bad, at_least


def add_parser(commands: Any) -> None:
    """Add `imgfeat benchmark` to the commands."""
    parser = commands.add_parser("benchmark", help="compare recipes on your images or on ours")
    parser.add_argument(
        "folder", nargs="?", help="folder of class folders (default: images that ship along)"
    )
    parser.add_argument(
        "--recipes", nargs="+", metavar="RECIPE", help="names or files (default: all that ship)"
    )
    parser.add_argument(
        "--folds", type=at_least(2), default=5, help="parts to test on in turn (default: 5)"
    )
    parser.add_argument(
        "--repeats", type=at_least(1), default=2, help="how often to split anew (default: 2)"
    )
    parser.add_argument(
        "--test", metavar="DIR", help="folder of images to test on instead, without folds"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the splits (default: 0)")
    parser.add_argument("--out", metavar="DIR", help="results folder (default: results/TIME)")
    add_skip_bad(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare recipes, and write the results."""
    from tqdm import tqdm

    from imgfeat.evaluation import (
        Benchmark,
        describe_environment,
        find_available,
        folder_data,
        format_table,
        shipped_data,
        summarize,
        write_benchmark,
    )
    from imgfeat.recipes import list_recipes, load_recipe

    if arguments.test and not arguments.folder:
        raise ValueError("--test needs a folder to train on: imgfeat benchmark DIR --test DIR.")
    recipes = {r.name: r for r in map(load_recipe, arguments.recipes or list_recipes())}
    if arguments.folder:
        data = [
            folder_data(
                arguments.folder,
                test_folder=arguments.test,
                folds=arguments.folds,
                repeats=arguments.repeats,
                seed=arguments.seed,
                verify=arguments.skip_bad,
            )
        ]
    else:
        data = shipped_data(folds=arguments.folds, repeats=arguments.repeats, seed=arguments.seed)
    out = arguments.out or time.strftime("results/%Y%m%d-%H%M%S")
    for note in data[0].notes:
        print(f"imgfeat: {note}", file=sys.stderr)
    environment = describe_environment()
    print(
        "Making kernels and networks ready (up to a minute, once in a new environment) ...",
        file=sys.stderr,
    )
    recipes, missing = find_available(data[0], recipes)
    if missing and (arguments.recipes or not recipes):
        raise ValueError("; ".join(f"{name}: {cause}" for name, cause in missing.items()))
    if missing:
        causes = " ".join(dict.fromkeys(missing.values()))
        print(f"Left out {', '.join(missing)}: {causes}", file=sys.stderr)
    benchmark = Benchmark(data, recipes, arguments.seed)
    progress = tqdm(benchmark.run(), total=benchmark.n_runs, unit="run", file=sys.stderr)
    for run in progress:
        progress.set_postfix_str(f"{run['data']} {run['recipe']}")
        page = write_benchmark(benchmark, environment, out)
    print(format_table(summarize(benchmark.runs, benchmark.comparisons), benchmark.comparisons))
    print(f"\nEvery run: {Path(out) / 'benchmark.json'}\nTo look at: {page}")
    return 1 if any("error" in run for run in benchmark.runs) else 0
