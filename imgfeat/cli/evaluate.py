"""`imgfeat evaluate`: compute metrics of a model on labelled images."""

import argparse
import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._near_names import suggest
from imgfeat._protocols import Classifier
from imgfeat.cli.arguments import Subcommands, add_skip_bad, add_trust
from imgfeat.cli.inputs import list_folder
from imgfeat.cli.models import load_classifier


def add_parser(commands: Subcommands) -> None:
    """Add `imgfeat evaluate` to the commands."""
    parser = commands.add_parser(
        "evaluate", help="compute metrics of a model on labelled test images"
    )
    parser.add_argument("model", help="model file (.skops or .onnx)")
    parser.add_argument("folder", help="folder of test images, with one subfolder per class")
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="FILE",
        help="report to write, .html or .md; may be repeated",
    )
    add_skip_bad(parser)
    add_trust(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate a model, print its metrics, and write reports."""
    from imgfeat.evaluation import TrainingImagesWarning, evaluate, write_report
    from imgfeat.evaluation.prediction import check_classifier
    from imgfeat.evaluation.report.pages import check_report_path

    for report in arguments.report:
        check_report_path(report)
    model = load_classifier(arguments.model, arguments.trust)
    check_classifier(model)
    X, y = list_folder(arguments.folder, ["test", "validation"], verify=arguments.skip_bad)
    y = _match_classes(model, X, y, arguments.folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingImagesWarning)  # the evaluation prints it as a note
        evaluation = evaluate(model, X, y, progress=True)
    print(evaluation)
    for report in arguments.report:
        print(f"Report: {write_report(evaluation, report)}", file=sys.stderr)
    return 0


def _match_classes(
    model: Classifier, X: NDArray[np.str_], y: NDArray[np.str_], folder: str
) -> NDArray[Any]:
    """Map names of folders to labels of the model, which need not be strings.

    Print a warning about classes of the model without images.

    Raises
    ------
    ValueError
        If a name is not a class of the model.
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
            "This is a multi-label model, but a folder with one subfolder per class gives each "
            "image one label. Evaluate it in Python, with an indicator matrix Y: "
            "imgfeat.evaluation.evaluate(model, X, Y)."
        )
    if unknown:
        raise ValueError(
            f"{folder} has classes that the model was not trained on: {', '.join(unknown)}. "
            f"{suggest(unknown[0], known)}Its classes are {', '.join(sorted(known))}."
        )
    if absent:
        print(f"imgfeat: warning: no images of {', '.join(absent)} in {folder}", file=sys.stderr)
    return np.asarray(classes)[[known[name] for name in y.tolist()]]
