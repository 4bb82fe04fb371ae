"""The `imgfeat` command."""

import argparse
import csv
import glob
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from imgfeat._optional import MissingExtraError

BATCH = 256


class Prediction(NamedTuple):
    """One line of `imgfeat predict`."""

    path: str
    label: Any
    probability: float | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, 1 if something failed on the way, 2 on errors."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except BrokenPipeError:
        # Whoever read our output, such as head, has seen enough; the last flush must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (ValueError, TypeError, OSError, MissingExtraError) as error:
        print(f"imgfeat: error: {error}{_remedy(error, arguments)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("imgfeat: interrupted", file=sys.stderr)
        return 130


def _remedy(error: Exception, arguments: argparse.Namespace) -> str:
    from imgfeat.decoding import ImageReadError

    if isinstance(error, ImageReadError) and hasattr(arguments, "skip_bad"):
        return " --skip-bad leaves such images out."
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="imgfeat", description="Image classification for people who live in scikit-learn."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    benchmark = commands.add_parser("benchmark", help="compare recipes on your images or on ours")
    benchmark.add_argument(
        "folder", nargs="?", help="folder of class folders (default: images that ship along)"
    )
    benchmark.add_argument(
        "--recipes", nargs="+", metavar="RECIPE", help="names or files (default: all that ship)"
    )
    benchmark.add_argument(
        "--folds", type=_at_least(2), default=5, help="parts to test on in turn (default: 5)"
    )
    benchmark.add_argument(
        "--repeats", type=_at_least(1), default=2, help="how often to split anew (default: 2)"
    )
    benchmark.add_argument(
        "--test", metavar="DIR", help="folder of images to test on instead, without folds"
    )
    benchmark.add_argument("--seed", type=int, default=0, help="of the splits (default: 0)")
    benchmark.add_argument("--out", metavar="DIR", help="results folder (default: results/TIME)")
    _add_skip_bad(benchmark)
    benchmark.set_defaults(run=_benchmark)

    recipes = commands.add_parser("recipes", help="list the recipes")
    recipes.set_defaults(run=_recipes)

    train = commands.add_parser("train", help="fit a recipe and keep the model")
    train.add_argument("recipe", help="name or file of a recipe")
    train.add_argument("folder", help="folder of class folders")
    train.add_argument("--out", required=True, metavar="FILE", help="model file, such as m.skops")
    train.add_argument("--seed", type=int, default=0, help="of the recipe (default: 0)")
    _add_skip_bad(train)
    train.set_defaults(run=_train)

    _add_tune(commands)

    evaluate = commands.add_parser("evaluate", help="measure a model on images of known classes")
    evaluate.add_argument("model", help="model file that train or export wrote")
    evaluate.add_argument("folder", help="folder of class folders, none of it used in training")
    evaluate.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FILE",
        help="page to write, .html or .md; may be given twice",
    )
    _add_skip_bad(evaluate)
    evaluate.set_defaults(run=_evaluate)

    predict = commands.add_parser("predict", help="label images with a model")
    predict.add_argument("model", help="model file that train or export wrote")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders or patterns")
    predict.add_argument("--format", choices=("csv", "json"), default="csv")
    predict.set_defaults(run=_predict)

    export = commands.add_parser("export", help="write a model as one ONNX file, proven equal")
    export.add_argument("model", help="model file that train wrote")
    export.add_argument("out", metavar="FILE", help="file to write, such as model.onnx")
    export.add_argument(
        "--check",
        metavar="DIR",
        help="images to compare file and model on (default: photographs that ship along)",
    )
    export.add_argument("--int8", action="store_true", help="quantise networks to 8 bits")
    export.add_argument(
        "--partial", action="store_true", help="leave out what no converter knows, at the end"
    )
    export.set_defaults(run=_export)
    return parser


def _add_tune(commands: Any) -> None:
    tune = commands.add_parser("tune", help="search for a recipe's best parameters, keep the model")
    tune.add_argument("recipe", help="name or file of a recipe")
    tune.add_argument("folder", help="folder of class folders")
    tune.add_argument(
        "--out", required=True, metavar="FILE", help="model file; pictures are put beside it"
    )
    tune.add_argument(
        "--trials", type=_at_least(1), default=50, help="in all, with earlier calls' (default: 50)"
    )
    tune.add_argument(
        "--storage", metavar="FILE", help="keeps trials: tune.db, or the address of a database"
    )
    tune.add_argument("--study", metavar="NAME", help="within the storage (default: the recipe's)")
    tune.add_argument(
        "--sampler", choices=("tpe", "random", "grid", "gp"), default="tpe", help="who proposes"
    )
    tune.add_argument(
        "--folds", type=_at_least(2), default=5, help="parts to test on in turn (default: 5)"
    )
    tune.add_argument("--scoring", default="accuracy", help="as scikit-learn has it")
    tune.add_argument("--prune", action="store_true", help="stop hopeless trials between folds")
    tune.add_argument("--timeout", type=float, metavar="SECONDS", help="begin no trial after that")
    tune.add_argument("--memory", metavar="DIR", help="keeps features for later calls")
    tune.add_argument("--jobs", type=int, help="folds at the same time, -1 is all cores")
    tune.add_argument("--seed", type=int, default=0, help="of recipe and sampler (default: 0)")
    _add_skip_bad(tune)
    tune.set_defaults(run=_tune)


def _add_skip_bad(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--skip-bad", action="store_true", help="leave out images that cannot be read"
    )


def _benchmark(arguments: argparse.Namespace) -> int:
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


def _recipes(arguments: argparse.Namespace) -> int:
    from imgfeat.recipes import list_recipes

    described = list_recipes()
    width = max(map(len, described))
    for name, description in described.items():
        print(f"{name:{width}}  {description}")
    return 0


def _check_out(out: str) -> Path:
    path = Path(out)
    if not path.parent.is_dir():
        raise ValueError(f"--out {path}: there is no folder {path.parent}.")
    return path


def _train(arguments: argparse.Namespace) -> int:
    from imgfeat.datasets import load_folder
    from imgfeat.persistence import save_model
    from imgfeat.recipes import load_recipe

    out = _check_out(arguments.out)
    recipe = load_recipe(arguments.recipe)
    X, y = load_folder(arguments.folder, verify=arguments.skip_bad)
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


def _tune(arguments: argparse.Namespace) -> int:
    from imgfeat.datasets import load_folder
    from imgfeat.recipes import load_recipe
    from imgfeat.tuning.command import tune_recipe

    out = _check_out(arguments.out)
    recipe = load_recipe(arguments.recipe)
    X, y = load_folder(arguments.folder, verify=arguments.skip_bad)
    tune_recipe(
        recipe,
        X,
        y,
        out,
        seed=arguments.seed,
        prune=arguments.prune,
        n_trials=arguments.trials,
        storage=arguments.storage,
        study_name=arguments.study or recipe.name,
        sampler=arguments.sampler,
        cv=arguments.folds,
        scoring=arguments.scoring,
        timeout=arguments.timeout,
        memory=arguments.memory,
        n_jobs=arguments.jobs,
    )
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from imgfeat.datasets import load_folder
    from imgfeat.evaluation import evaluate, write_report
    from imgfeat.evaluation.report import check_report_path

    for report in arguments.report:
        check_report_path(report)
    model = _load_classifier(arguments.model)
    X, y = load_folder(arguments.folder, verify=arguments.skip_bad)
    _compare_classes(model, set(y.tolist()), arguments.folder)
    evaluation = evaluate(model, X, y, progress=True)
    print(evaluation)
    for report in arguments.report:
        print(f"Report: {write_report(evaluation, report)}", file=sys.stderr)
    return 0


def _compare_classes(model: Any, present: set[str], folder: str) -> None:
    """Refuse classes that the model does not know, and mention those that it misses."""
    known = {str(name) for name in getattr(model, "classes_", present)}
    unknown, absent = sorted(present - known), sorted(known - present)
    if unknown:
        raise ValueError(
            f"{folder} has classes that the model was not trained on: {', '.join(unknown)}. It "
            f"knows {', '.join(sorted(known))}."
        )
    if absent:
        print(f"imgfeat: warning: no images of {', '.join(absent)} in {folder}", file=sys.stderr)


def _export(arguments: argparse.Namespace) -> int:
    from imgfeat.backbones.samples import sample_images
    from imgfeat.datasets import list_images
    from imgfeat.export import to_onnx
    from imgfeat.persistence import load_model

    out = Path(arguments.out)
    model = load_model(arguments.model)
    sample: Any = sample_images(12, (240, 320, 3))
    if arguments.check:
        sample = list_images(arguments.check)
        if not sample:
            raise ValueError(f"No images in {arguments.check}.")
    print(f"Exporting {arguments.model} and comparing ...", file=sys.stderr, flush=True)
    certificate = to_onnx(model, sample, out, int8=arguments.int8, allow_partial=arguments.partial)
    print(f"{out}: {certificate}")
    return 0


def _load_classifier(path: str) -> Any:
    from imgfeat.export import load_onnx
    from imgfeat.persistence import load_model

    onnx = path.endswith(".onnx")
    model = load_onnx(path, n_threads=os.cpu_count() or 1) if onnx else load_model(path)
    if not hasattr(model, "predict"):
        raise ValueError(f"{path} holds no classifier but a {type(model).__name__}.")
    return model


def _predict(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    model = _load_classifier(arguments.model)
    paths = _expand(arguments.images)
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    failures: list[str] = []
    writer = _write_csv if arguments.format == "csv" else _write_json
    progress = tqdm(batches, unit="batch", file=sys.stderr, disable=None, delay=2)
    writer(row for batch in progress for row in _predict_batch(model, batch, failures))
    for failure in failures:
        print(f"imgfeat: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _expand(patterns: Sequence[str]) -> list[str]:
    from imgfeat.datasets import list_images

    paths: list[str] = []
    for pattern in patterns:
        if os.path.isdir(pattern):
            found = list_images(pattern)
        elif os.path.exists(pattern):
            found = [pattern]
        else:
            matches = sorted(glob.glob(pattern, recursive=True))
            found = [path for path in matches if os.path.isfile(path)]
        if not found:
            raise ValueError(f"No image at {pattern}.")
        paths += found
    return list(dict.fromkeys(paths))


def _predict_batch(model: Any, paths: list[str], failures: list[str]) -> list[Prediction]:
    """Predict a batch; if one image cannot be read, one by one, so that no other is lost."""
    from imgfeat._pipelines import split_head
    from imgfeat.decoding import ImageReadError
    from imgfeat.export import OnnxPipeline

    try:
        # Decode and describe the images once, for labels and probabilities.
        if isinstance(model, OnnxPipeline):
            outputs = model.run(paths)
            labels = outputs["label"]
            probabilities = _find_likeliest(outputs.get("probabilities"), len(paths))
        else:
            front, head = split_head(model)
            features = paths if front is None else front.transform(paths)
            labels = head.predict(features)
            known = head.predict_proba(features) if hasattr(head, "predict_proba") else None
            probabilities = _find_likeliest(known, len(paths))
    except ImageReadError as error:
        if len(paths) == 1:
            failures.append(str(error))
            return []
        return [row for path in paths for row in _predict_batch(model, [path], failures)]
    return [
        Prediction(path, label.item() if hasattr(label, "item") else label, probability)
        for path, label, probability in zip(paths, labels, probabilities, strict=True)
    ]


def _find_likeliest(probabilities: Any, n: int) -> list[float | None]:
    """Return the probability of the likeliest label of each image, where the model has any."""
    return [None] * n if probabilities is None else probabilities.max(axis=1).tolist()


def _write_csv(rows: Iterator[Prediction]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(Prediction._fields)
    for path, label, probability in rows:
        writer.writerow((path, label, "" if probability is None else f"{probability:.6f}"))


def _write_json(rows: Iterator[Prediction]) -> None:
    json.dump([row._asdict() for row in rows], sys.stdout, indent=1)
    print()


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return value

    return read
