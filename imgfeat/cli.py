"""The `imgfeat` command."""

import argparse
import contextlib
import csv
import glob
import io
import itertools
import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import imgfeat
from imgfeat._near_names import suggest
from imgfeat._optional import MissingExtraError

if TYPE_CHECKING:
    from imgfeat.images.folders import ImageFiles

BATCH = 256
SAMPLERS = ("tpe", "random", "grid", "gp")


class Prediction(NamedTuple):
    """One line of `imgfeat predict`; lists where an image has several labels."""

    path: str
    label: Any
    probability: float | list[float] | None


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
    _add_commands(commands)
    names = list(commands.choices)
    if argv and not argv[0].startswith("-") and argv[0] not in names:
        parser.error(
            f"there is no command {argv[0]!r}. {suggest(argv[0], names)}Commands are "
            f"{', '.join(names)}."
        )
    return parser.parse_args(argv)


def _add_commands(commands: Any) -> None:

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

    check = commands.add_parser("check", help="count images by class, and find damaged ones")
    check.add_argument("folder", help="folder of class folders, of their parts, or of images")
    check.set_defaults(run=_check)

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
    _add_trust(evaluate)
    evaluate.set_defaults(run=_evaluate)

    predict = commands.add_parser("predict", help="label images with a model")
    predict.add_argument("model", help="model file that train or export wrote")
    predict.add_argument("images", nargs="+", metavar="IMAGE", help="files, folders or patterns")
    predict.add_argument(
        "--format",
        choices=("csv", "json"),
        default="csv",
        help="json has every file name exactly, csv escapes what it cannot write (default: csv)",
    )
    _add_trust(predict)
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
        "--resize", action="store_true", help="take images of any size: the graph resizes them"
    )
    export.add_argument(
        "--partial", action="store_true", help="leave out what no converter knows, at the end"
    )
    _add_trust(export)
    export.set_defaults(run=_export)


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
        "--sampler",
        type=_one_of(SAMPLERS),
        default="tpe",
        metavar=f"{{{','.join(SAMPLERS)}}}",
        help="who proposes",
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


def _add_trust(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--trust",
        action="append",
        default=[],
        metavar="NAME",
        help="of a type or function to load besides those known to be harmless, or of a parameter "
        "that may name files, such as CNNEmbedding.backbone; may be given again",
    )


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


def _recipes(arguments: argparse.Namespace) -> int:
    from imgfeat.recipes import list_recipes

    described = list_recipes()
    width = max(map(len, described))
    for name, description in described.items():
        print(f"{name:{width}}  {description}")
    return 0


def _check_out(out: str) -> Path:
    """Return where the model goes; what cannot be written is known before hours of fitting."""
    from imgfeat._files import check_target

    path = Path(out)
    if not path.parent.is_dir():
        raise ValueError(f"--out {path}: there is no folder {path.parent}.")
    if path.suffix.lower() == ".onnx":
        raise ValueError(
            f"--out {path}: models are kept as {path.stem}.skops, from which imgfeat export makes "
            "the ONNX file."
        )
    try:
        check_target(path)
    except ValueError as error:
        raise ValueError(f"--out {error}") from None
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"--out {path}: no permission to write in {path.parent}.")
    return path


def _list_folder(
    folder: str, parts: Sequence[str], *, verify: bool
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Return paths and labels, of the first of the parts that a split folder has."""
    from imgfeat.images.datasets import choose_part, list_files

    chosen = choose_part(folder, parts)
    if chosen != folder:
        print(f"imgfeat: {folder} is split: taking {chosen}", file=sys.stderr)
    files = list_files(chosen, verify=verify)
    _say_what_is_left_out(files, chosen)
    return np.array(files.paths), np.array(files.labels)


def _list_images(folder: str) -> list[str]:
    from imgfeat.images.folders import list_image_files

    files = list_image_files(folder)
    _say_what_is_left_out(files, folder)
    return files.paths


def _say_what_is_left_out(files: "ImageFiles", folder: str) -> None:
    text = files.describe_left_out()
    if text:
        print(f"imgfeat: {folder}: {text}", file=sys.stderr)


def _check(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from imgfeat.evaluation.report.layout import format_columns
    from imgfeat.images.datasets import find_problems
    from imgfeat.images.folders import list_class_folders, list_image_files
    from imgfeat.images.splits import find_split

    status = 0
    for folder in (find_split(arguments.folder) or {"": arguments.folder}).values():
        files = list_class_folders(folder)
        if not files.labels:
            files = list_image_files(folder)
        counts = Counter(files.labels) | Counter(dict.fromkeys(files.empty, 0))
        rows = [(name, f"{counts[name]:,}") for name in sorted({*files.labels, *files.empty})]
        print(f"{folder}: {len(files.paths):,} images")
        if rows:
            print(format_columns([("class", "images"), *rows]))
        if files.left_out:
            print(files.describe_left_out())
        progress = tqdm(
            find_problems(files.paths),
            total=len(files.paths),
            unit="image",
            file=sys.stderr,
            disable=None,
            delay=2,
        )
        problems = [problem for problem in progress if problem is not None]
        damaged = [problem.cause for problem in problems if not problem.readable]
        doubtful = [problem.cause for problem in problems if problem.readable]
        print(f"damaged: {len(damaged):,}", *damaged, sep="\n  ")
        if doubtful:
            print(f"can be read, but look damaged: {len(doubtful):,}", *doubtful, sep="\n  ")
        status = 1 if damaged else status
    return status


def _train(arguments: argparse.Namespace) -> int:
    from imgfeat.persistence import save_model
    from imgfeat.recipes import load_recipe

    out = _check_out(arguments.out)
    recipe = load_recipe(arguments.recipe)
    X, y = _list_folder(arguments.folder, ["train"], verify=arguments.skip_bad)
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
    from sklearn.metrics import get_scorer_names

    from imgfeat.recipes import load_recipe
    from imgfeat.tuning.command import tune_recipe

    out = _check_out(arguments.out)
    scorers = get_scorer_names()
    if arguments.scoring not in scorers:
        raise ValueError(
            f"The 'scoring' parameter is {arguments.scoring!r}, no scorer of scikit-learn's. "
            f"{suggest(arguments.scoring, scorers)}There are {', '.join(scorers)}."
        )
    recipe = load_recipe(arguments.recipe)
    X, y = _list_folder(arguments.folder, ["train"], verify=arguments.skip_bad)
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
    from imgfeat.evaluation import TrainingImagesWarning, evaluate, write_report
    from imgfeat.evaluation.prediction import check_classifier
    from imgfeat.evaluation.report.pages import check_report_path

    for report in arguments.report:
        check_report_path(report)
    model = _load_classifier(arguments.model, arguments.trust)
    check_classifier(model)
    X, y = _list_folder(arguments.folder, ["test", "validation"], verify=arguments.skip_bad)
    y = _match_classes(model, X, y, arguments.folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingImagesWarning)  # it is printed with the figures
        evaluation = evaluate(model, X, y, progress=True)
    print(evaluation)
    for report in arguments.report:
        print(f"Report: {write_report(evaluation, report)}", file=sys.stderr)
    return 0


def _match_classes(model: Any, X: Any, y: NDArray[np.str_], folder: str) -> NDArray[Any]:
    """Return the model's own labels, which need not be strings, for the names of folders.

    Refuse names that the model does not know, and mention those that have no images.
    """
    from imgfeat.images.folders import name_class

    classes = getattr(model, "classes_", None)
    if classes is None:
        return y
    known = {name_class(str(label)): number for number, label in enumerate(classes)}
    present = set(y.tolist())
    unknown, absent = sorted(present - known.keys()), sorted(known.keys() - present)
    if unknown and np.ndim(model.predict(X[:1])) == 2:
        raise ValueError(
            "The model gives an image several labels, a folder of class folders one. Evaluate it "
            "in Python: imgfeat.evaluation.evaluate(model, X, Y) with an indicator matrix Y."
        )
    if unknown:
        raise ValueError(
            f"{folder} has classes that the model was not trained on: {', '.join(unknown)}. "
            f"{suggest(unknown[0], known)}It knows {', '.join(sorted(known))}."
        )
    if absent:
        print(f"imgfeat: warning: no images of {', '.join(absent)} in {folder}", file=sys.stderr)
    return np.asarray(classes)[[known[name] for name in y.tolist()]]


def _export(arguments: argparse.Namespace) -> int:
    from imgfeat.export import to_onnx
    from imgfeat.images.samples import sample_images

    out = Path(arguments.out)
    if out.exists() and os.path.exists(arguments.model) and out.samefile(arguments.model):
        raise ValueError(f"{out} is the model itself, which the ONNX file would replace.")
    model = _load_model(arguments.model, arguments.trust)
    sample: Any = sample_images(12, (240, 320, 3))
    if arguments.check:
        sample = _list_images(arguments.check)
        if not sample:
            raise ValueError(f"No images in {arguments.check}.")
    print(f"Exporting {arguments.model} and comparing ...", file=sys.stderr, flush=True)
    certificate = to_onnx(
        model,
        sample,
        out,
        int8=arguments.int8,
        resize=arguments.resize,
        allow_partial=arguments.partial,
    )
    print(f"{out}: {certificate}")
    return 0


def _load_model(path: str, trust: Sequence[str]) -> Any:
    from imgfeat.persistence import ALLOWABLE, load_model

    allow = [name for name in trust if name in ALLOWABLE]
    return load_model(path, trusted=[name for name in trust if name not in allow], allow=allow)


def _load_classifier(path: str, trust: Sequence[str]) -> Any:
    from imgfeat.export import load_onnx

    onnx = path.lower().endswith(".onnx")
    model = load_onnx(path, n_threads=os.cpu_count() or 1) if onnx else _load_model(path, trust)
    if not hasattr(model, "predict"):
        raise ValueError(f"{path} holds no classifier but a {type(model).__name__}.")
    return model


def _predict(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    model = _load_classifier(arguments.model, arguments.trust)
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
    paths: list[str] = []
    for pattern in patterns:
        if os.path.isdir(pattern):
            found = _list_images(pattern)
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
    from imgfeat.evaluation.prediction import predict_images
    from imgfeat.export import OnnxPipeline
    from imgfeat.images.decoding import ImageReadError

    try:
        # Decode and describe the images once, for labels and probabilities.
        if isinstance(model, OnnxPipeline):
            outputs = model.run(paths)
            labels, probabilities = outputs["label"], outputs.get("probabilities")
        else:
            found = predict_images(model, paths)
            labels, probabilities = found.labels, found.scores if found.probabilistic else None
    except ImageReadError as error:
        if len(paths) == 1:
            failures.append(str(error))
            return []
        return [row for path in paths for row in _predict_batch(model, [path], failures)]
    rows = _name_labels(model, labels) if labels.ndim == 2 else labels.tolist()
    return [
        Prediction(path, label, _choose_probability(probabilities, labels, number))
        for number, (path, label) in enumerate(zip(paths, rows, strict=True))
    ]


def _name_labels(model: Any, labels: NDArray[Any]) -> list[list[Any]]:
    """Return the labels that each image has, by the names of the columns where there are any."""
    if labels.dtype.kind not in "biuf" or not np.isin(labels, (0, 1)).all():
        return labels.tolist()  # one of several classes for each of several questions
    classes = getattr(model, "classes_", None)
    named = isinstance(classes, np.ndarray) and classes.shape == labels.shape[1:]
    names = np.asarray(classes) if named else np.arange(labels.shape[1])
    return [names[row == 1].tolist() for row in labels]


def _choose_probability(
    probabilities: NDArray[Any] | None, labels: NDArray[Any], number: int
) -> float | list[float] | None:
    """Return the probability of the likeliest class, or of each label that the image has."""
    if probabilities is None:
        return None
    row = probabilities[number]
    if labels.ndim == 1:
        return float(row.max())
    return row[labels[number] == 1].tolist() if row.shape == labels.shape[1:] else None


def _write_csv(rows: Iterator[Prediction]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    first = next(rows, None)  # where this fails, no header was written
    writer.writerow(Prediction._fields)
    for path, label, probability in () if first is None else itertools.chain([first], rows):
        writer.writerow((path, _join(label, "{}"), _join(probability, "{:.6f}")))


def _join(value: Any, form: str) -> str:
    if value is None:
        return ""
    return ";".join(map(form.format, value if isinstance(value, list) else [value]))


def _write_json(rows: Iterator[Prediction]) -> None:
    json.dump([row._asdict() for row in rows], sys.stdout, indent=1)
    print()


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(
                f"got {text!r}. {suggest(text, names)}There are {', '.join(names)}"
            )
        return text

    return read


def _at_least(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}")
        return value

    return read
