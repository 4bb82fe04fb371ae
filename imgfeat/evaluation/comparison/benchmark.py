"""Run recipes on several data sets and compare them on each."""

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
        Name of the data set in tables.
    X : sequence of n images
    y : ndarray of shape (n,)
    folds : list of (train, test)
        Arrays of positions of images.
    n_repeats : int
        Number of repetitions of the split, of which `folds` holds all folds.
    notes : tuple of str
        Which parts of a folder are used, and which files are left out.
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
    """A benchmark of recipes on data sets.

    Attributes
    ----------
    data : sequence of BenchmarkData
    recipes : mapping of str to Recipe
    seed : int
        ``random_state`` of the recipes.
    runs : list of dict
        Results so far.
    comparisons : dict of str to Comparison
        By name of the data set, after all recipes have run on it.
    """

    data: Sequence[BenchmarkData]
    recipes: Mapping[str, Recipe]
    seed: int = 0
    runs: list[dict[str, Any]] = field(default_factory=list)
    comparisons: dict[str, Comparison] = field(default_factory=dict)

    @property
    def n_runs(self) -> int:
        """Number of runs: recipes times folds, over all data sets."""
        return len(self.recipes) * sum(len(source.folds) for source in self.data)

    def run(self) -> Iterator[dict[str, Any]]:
        """Fit and score every recipe on every fold of every data set.

        Yields
        ------
        run : dict
            data, recipe, repeat, fold, n_train, n_test, and either accuracy, macro_f1,
            fit_seconds, images_per_second, n_features, classes and confusion_matrix, or error and
            traceback: a recipe that fails does not stop the others. Leading stateless steps are
            computed once for all folds, and the times include their share of that.

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

    Textures are split into halves of each picture, so that training and test images share no
    pixels: the left and the right half, then the upper and the lower one, each half once for
    training. Faces and digits have stratified folds.

    Parameters
    ----------
    folds, repeats : int, default=5, 1
        Number of folds of faces and digits, and of repetitions of the split.
    seed : int, default=0
        Seed of the folds.
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
    """Return a folder with one subfolder per class as a data set.

    Parameters
    ----------
    folder : str
        See `imgfeat.datasets.load_folder`. If it is split into "train" and "test" subfolders,
        "train" is the training set.
    test_folder : str, default=None
        Folder of test images of the same classes, for a single split. By default it is the "test"
        subfolder of `folder`, or else its "validation" subfolder; a folder without these is split
        into stratified folds.
    folds, repeats : int, default=5, 1
        Number of stratified folds, and of repetitions of the split.
    seed : int, default=0
        Seed of the stratified folds.
    verify : bool, default=False
        Leave out images that cannot be read.

    Raises
    ------
    ValueError
        If a class has fewer images than there are folds, or the test folder has a class that
        `folder` lacks.
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
        notes.append(f"{folder} is already split: training on {train_folder}")
    X, y = _list_images(train_folder, verify, notes)
    if test_folder is None:
        return _split(name, X, y, folds, repeats, seed, notes)
    notes.append(f"testing on {test_folder}, without cross-validation")
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


def _list_images(folder: str, verify: bool, notes: list[str]) -> tuple[NDArray[Any], NDArray[Any]]:
    files = datasets.list_files(folder, verify=verify)
    if files.left_out:
        notes.append(f"{folder}: {files.describe_left_out()}")
    return np.array(files.paths), np.array(files.labels)


def find_available(
    data: BenchmarkData, recipes: Mapping[str, Recipe]
) -> tuple[dict[str, Recipe], dict[str, str]]:
    """Run the features of each recipe on a few images, and return which recipes can run.

    This also compiles kernels and exports networks, which happens once in a new environment, so
    that the times of a benchmark do not include it.

    Parameters
    ----------
    data : BenchmarkData
    recipes : mapping of str to Recipe

    Returns
    -------
    available : dict of str to Recipe
    missing : dict of str to str
        By name of a recipe, which package is not installed and how to install it.
    """
    images, labels = data.X[:N_WARM_UP], data.y[:N_WARM_UP]
    available, missing = {}, {}
    for name, recipe in recipes.items():
        try:
            recipe.build()[:-1].fit_transform(images, labels)
        except MissingExtraError as error:
            missing[name] = str(error)
            continue
        except Exception:  # the benchmark meets the same error and records it
            pass
        available[name] = recipe
    return available, missing


def _halve_textures() -> BenchmarkData:
    images, target, folds, start = [], [], [], 0
    for fold in (0, 2):  # folds 1 and 3 exchange training and test halves
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
    name: str,
    X: Any,
    y: NDArray[Any],
    folds: int,
    repeats: int,
    seed: int,
    notes: Sequence[str] = (),
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
    y_true = source.y[source.folds[run.fold][1]]
    counts = confusion_matrix(y_true, run.predictions.outputs["predict"], labels=classes)
    return described | {
        **run.scores,
        "fit_seconds": run.fit_seconds,
        "images_per_second": run.n_test / run.predict_seconds,
        "n_features": run.n_features,
        "classes": classes.tolist(),
        "confusion_matrix": counts.tolist(),
    }
