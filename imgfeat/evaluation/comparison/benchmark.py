"""Recipes on several data sets, each by its own folds, with a comparison of each."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, get_scorer

from imgfeat._near_names import suggest
from imgfeat._optional import MissingExtraError
from imgfeat.evaluation.comparison.compare import make_builders
from imgfeat.evaluation.comparison.comparison import Comparison
from imgfeat.evaluation.comparison.pairs import compare_runs
from imgfeat.evaluation.comparison.runs import Run, run_folds
from imgfeat.evaluation.comparison.split_plan import Fold, make_folds
from imgfeat.images import datasets
from imgfeat.recipes import Recipe

N_WARM_UP = 4
SCORING = {"accuracy": "accuracy", "macro_f1": "f1_macro"}


@dataclass(frozen=True, eq=False)
class BenchmarkData:
    """A data set and how it is split.

    Attributes
    ----------
    name : str
        What the tables call it.
    X : sequence of n images
    y : ndarray of shape (n,)
    folds : list of (train, test)
        Arrays of positions.
    n_repeats : int
        How often the folds split all images anew.
    notes : tuple of str
        What was left out of a folder, and which parts of it were taken.
    """

    name: str
    X: Any
    y: NDArray[Any]
    folds: list[Fold]
    n_repeats: int = 1
    notes: tuple[str, ...] = ()

    def find_repeat(self, fold: int) -> int:
        """Return which repeat a fold belongs to."""
        return fold * self.n_repeats // len(self.folds)


@dataclass(eq=False)
class Benchmark:
    """Recipes on data sets.

    Attributes
    ----------
    data : sequence of BenchmarkData
    recipes : mapping of str to Recipe
    seed : int
        With which recipes are built.
    runs : list of dict
        What was measured so far.
    comparisons : dict of str to Comparison
        By the name of the data set, once all recipes ran on it.
    """

    data: Sequence[BenchmarkData]
    recipes: Mapping[str, Recipe]
    seed: int = 0
    runs: list[dict[str, Any]] = field(default_factory=list)
    comparisons: dict[str, Comparison] = field(default_factory=dict)

    @property
    def n_runs(self) -> int:
        """How many runs there will be."""
        return len(self.recipes) * sum(len(source.folds) for source in self.data)

    def run(self) -> Iterator[dict[str, Any]]:
        """Fit and score every recipe on every fold of every data set.

        Yields
        ------
        run : dict
            data, recipe, repeat, fold, n_train, n_test, and either accuracy, macro_f1,
            fit_seconds, images_per_second, n_features, classes and confusion_matrix, or error and
            traceback: one recipe that fails does not cost the others' results. Steps that learn
            nothing are computed once, and count by their share of the images.

        Raises
        ------
        ImageReadError
            If an image cannot be read.
        """
        scorers = {name: get_scorer(scoring) for name, scoring in SCORING.items()}
        builders = make_builders(self.recipes, self.seed)
        for source in self.data:
            found = []
            for run in run_folds(builders, source.X, source.y, source.folds, scorers):
                found.append(run)
                self.runs.append(_describe_run(run, source))
                if len(found) == len(builders) * len(source.folds):
                    accuracy = {"accuracy": scorers["accuracy"]}
                    self.comparisons[source.name] = compare_runs(
                        found, source.y, source.folds, accuracy
                    )
                yield self.runs[-1]


def shipped_data(*, folds: int = 5, repeats: int = 1, seed: int = 0) -> list[BenchmarkData]:
    """Return the data sets that ship with scikit-image and scikit-learn.

    Textures are split by halves of their pictures, so that no pixel is in both parts: left from
    right and upper from lower, each half once for training; faces and digits by stratified folds.

    Parameters
    ----------
    folds, repeats : int, default=5, 1
        Of faces and digits.
    seed : int, default=0
        Of their folds.
    """
    sources = [_halve_textures()]
    for name, bunch in (("faces", datasets.load_faces()), ("digits", datasets.load_digits())):
        sources.append(_split(name, bunch.images, bunch.target, folds, repeats, seed))
    return sources


def folder_data(
    folder: str,
    *,
    test_folder: str | None = None,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    verify: bool = False,
) -> BenchmarkData:
    """Return a folder of class folders as a data set.

    Parameters
    ----------
    folder : str
        See `imgfeat.datasets.load_folder`. Of a folder that is split into "train" and "test", the
        first is trained on.
    test_folder : str, default=None
        Images to test on, in the same classes: one split. By default the test images of a folder
        that is split, or else its validation images; stratified folds of any other.
    folds, repeats : int, default=5, 1
        Of these.
    seed : int, default=0
        Of these.
    verify : bool, default=False
        Leave out images that cannot be read.

    Raises
    ------
    ValueError
        If a class has fewer images than there are folds, or the test folder holds a class that
        `folder` does not.
    """
    name = os.path.basename(os.path.abspath(folder))
    parts = datasets.find_split(folder)
    train_folder = datasets.choose_part(folder, ["train"])
    if test_folder is None:
        test_folder = parts.get("test", parts.get("validation"))
    else:
        test_folder = datasets.choose_part(test_folder, ["test", "validation"])
    notes = []
    if parts:
        notes.append(f"{folder} is split: training on {train_folder}")
    X, y = _list_images(train_folder, verify, notes)
    if test_folder is None:
        return _split(name, X, y, folds, repeats, seed, notes)
    notes.append(f"testing on {test_folder}, without folds")
    X_test, y_test = _list_images(test_folder, verify, notes)
    unknown = sorted(set(y_test) - set(y))
    if unknown:
        raise ValueError(
            f"{test_folder} has classes that {train_folder} lacks: {', '.join(unknown)}. "
            f"{suggest(unknown[0], set(y.tolist()))}".strip()
        )
    X, y = np.concatenate([X, X_test]), np.concatenate([y, y_test])
    n_train = len(y) - len(y_test)
    pair = (np.arange(n_train), np.arange(n_train, len(y)))
    return BenchmarkData(name, X, y, make_folds(y, cv=[pair]), notes=tuple(notes))


def _list_images(folder: str, verify: bool, notes: list[str]) -> tuple[NDArray, NDArray]:
    files = datasets.list_files(folder, verify=verify)
    if files.left_out:
        notes.append(f"{folder}: {files.describe_left_out()}")
    return np.array(files.paths), np.array(files.labels)


def find_available(
    data: BenchmarkData, recipes: Mapping[str, Recipe]
) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Run the features of every recipe on a few images, and tell which recipes can run here.

    What happens once in a new environment, kernels compiled and networks exported, happens here
    and is in no recipe's time.

    Parameters
    ----------
    data : BenchmarkData
    recipes : mapping of str to Recipe

    Returns
    -------
    available : dict of str to Recipe
    missing : dict of str to str
        By the name of a recipe, which package it lacks and how to get it.
    """
    images, labels = data.X[:N_WARM_UP], data.y[:N_WARM_UP]
    available, missing = {}, {}
    for name, recipe in recipes.items():
        try:
            recipe.build()[:-1].fit_transform(images, labels)
        except MissingExtraError as error:
            missing[name] = str(error)
            continue
        except Exception:  # it will come again, and then be recorded
            pass
        available[name] = recipe
    return available, missing


def _halve_textures() -> BenchmarkData:
    images, target, folds, start = [], [], [], 0
    for fold in (0, 2):  # 1 and 3 are these the other way round
        parts = []
        for subset in ("train", "test"):
            bunch = datasets.load_textures(subset, patch_size=32, fold=fold)
            images.append(bunch.images)
            target.append(bunch.target)
            parts.append(np.arange(start, start + len(bunch.target)))
            start += len(bunch.target)
        folds += [(parts[0], parts[1]), (parts[1], parts[0])]
    y = np.concatenate(target)
    return BenchmarkData("textures", np.concatenate(images), y, folds, n_repeats=2)


def _split(
    name: str, X: Any, y: NDArray, folds: int, repeats: int, seed: int, notes: Sequence[str] = ()
) -> BenchmarkData:
    found = make_folds(y, n_splits=folds, n_repeats=repeats, random_state=seed)
    return BenchmarkData(name, X, y, found, repeats, tuple(notes))


def _describe_run(run: Run, source: BenchmarkData) -> dict[str, Any]:
    described: dict[str, Any] = {
        "data": source.name,
        "recipe": run.recipe,
        "repeat": source.find_repeat(run.fold),
        "fold": run.fold,
        "n_train": run.n_train,
        "n_test": run.n_test,
    }
    if run.error is not None:
        return described | {"error": run.error, "traceback": run.traceback}
    assert run.predictions is not None
    classes = np.unique(source.y)
    truth = source.y[source.folds[run.fold][1]]
    counts = confusion_matrix(truth, run.predictions.outputs["predict"], labels=classes)
    return described | {
        **run.scores,
        "fit_seconds": run.fit_seconds,
        "images_per_second": run.n_test / run.predict_seconds,
        "n_features": run.n_features,
        "classes": classes.tolist(),
        "confusion_matrix": counts.tolist(),
    }
