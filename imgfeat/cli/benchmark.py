"""`imgfeat benchmark`: compare recipes on a data set."""

import argparse
import sys
import time
from pathlib import Path

from imgfeat.cli.arguments import Subcommands, add_folds, add_seed, add_skip_bad, at_least


def add_parser(commands: Subcommands) -> None:
    """Add `imgfeat benchmark` to the commands."""
    parser = commands.add_parser(
        "benchmark", help="compare recipes on a folder of images or on built-in data sets"
    )
    parser.add_argument(
        "folder",
        nargs="?",
        help="folder with one subfolder per class (default: built-in data sets)",
    )
    parser.add_argument(
        "--recipes",
        nargs="+",
        metavar="RECIPE",
        help="names or files of recipes (default: all built-in ones)",
    )
    add_folds(parser)
    parser.add_argument(
        "--repeats",
        type=at_least(1),
        default=2,
        help="repetitions of the cross-validation (default: 2)",
    )
    parser.add_argument(
        "--test", metavar="DIR", help="folder of test images, instead of cross-validation"
    )
    add_seed(parser, "the folds and recipes")
    parser.add_argument(
        "--out", metavar="DIR", help="folder for the results (default: results/TIME)"
    )
    add_skip_bad(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare recipes and write the results."""
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
        raise ValueError(
            "--test needs a folder of training images: imgfeat benchmark DIR --test DIR."
        )
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
        "Compiling kernels and exporting networks (up to a minute, once per environment) ...",
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
    print(f"\nAll runs: {Path(out) / 'benchmark.json'}\nReport: {page}")
    return 1 if any("error" in run for run in benchmark.runs) else 0
