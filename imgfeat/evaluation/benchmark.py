"""Run recipes on data sets, repeatedly, on the same splits for all."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.model_selection import train_test_split

from imgfeat import datasets
from imgfeat._optional import MissingExtraError
from imgfeat.decoding import ImageReadError
from imgfeat.recipes import Recipe

Split = tuple[Any, Any, NDArray, NDArray]
Run = dict[str, Any]
N_WARM_UP = 4


@dataclass(frozen=True)
class BenchmarkData:
    """A data set and how it is split.

    Attributes
    ----------
    name : str
        What the tables call it.
    split : callable
        ``split(repeat)`` returns X_train, X_test, y_train, y_test.
    """

    name: str
    split: Callable[[int], Split]


def shipped_data(*, test_size: float = 0.3, seed: int = 0) -> list[BenchmarkData]:
    """Return the data sets that ship with scikit-image and scikit-learn.

    Textures are split by halves of their pictures, so that no pixel is in both parts, another half
    for each repeat; faces and digits at random, stratified.

    Parameters
    ----------
    test_size : float, default=0.3
        Share of faces and digits for testing.
    seed : int, default=0
        Of the random splits; repeat r uses seed + r.
    """
    faces, digits = datasets.load_faces(), datasets.load_digits()
    return [
        BenchmarkData("textures", _split_textures),
        BenchmarkData("faces", _random_split(faces.images, faces.target, test_size, seed)),
        BenchmarkData("digits", _random_split(digits.images, digits.target, test_size, seed)),
    ]


def folder_data(
    folder: str,
    *,
    test_folder: str | None = None,
    test_size: float = 0.3,
    seed: int = 0,
    verify: bool = False,
) -> BenchmarkData:
    """Return a folder of class folders as a data set.

    Parameters
    ----------
    folder : str
        See `imgfeat.datasets.load_folder`.
    test_folder : str, default=None
        Images to test on, in the same classes; by default a stratified random share of `folder`.
    test_size : float, default=0.3
        That share.
    seed : int, default=0
        Of the random splits; repeat r uses seed + r.
    verify : bool, default=False
        Leave out images that cannot be read.

    Raises
    ------
    ValueError
        If a class has too few images to split, or the test folder holds a class that `folder`
        does not.
    """
    X, y = datasets.load_folder(folder, verify=verify)
    name = folder.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]
    if test_folder is None:
        return BenchmarkData(name, _random_split(X, y, test_size, seed))
    X_test, y_test = datasets.load_folder(test_folder, verify=verify)
    unknown = sorted(set(y_test) - set(y))
    if unknown:
        raise ValueError(f"{test_folder} has classes that {folder} lacks: {', '.join(unknown)}.")
    return BenchmarkData(name, lambda repeat: (X, X_test, y, y_test))


def run_benchmark(
    data: Sequence[BenchmarkData],
    recipes: Mapping[str, Recipe],
    *,
    repeats: int = 3,
    seed: int = 0,
) -> Iterator[Run]:
    """Fit and score every recipe on every data set, `repeats` times.

    Parameters
    ----------
    data : sequence of BenchmarkData
    recipes : mapping of str to Recipe
    repeats : int, default=3
        Splits for each data set; all recipes get the same ones.
    seed : int, default=0
        Repeat r builds recipes with random_state = seed + r.

    Yields
    ------
    run : dict
        data, recipe, repeat, n_train, n_test, and either accuracy, macro_f1, fit_seconds,
        images_per_second, n_features, classes and confusion_matrix, or error: one recipe that
        fails does not cost the others' results.

    Raises
    ------
    ImageReadError
        If an image cannot be read.
    """
    for source in data:
        for repeat in range(repeats):
            split = source.split(repeat)
            for name, recipe in recipes.items():
                run = {
                    "data": source.name,
                    "recipe": name,
                    "repeat": repeat,
                    "n_train": len(split[2]),
                    "n_test": len(split[3]),
                }
                try:
                    run |= _measure(recipe.build(random_state=seed + repeat), split)
                except ImageReadError:  # the data's fault, and so every recipe's
                    raise
                except Exception as error:  # recipes are users' code; the error is the result
                    run["error"] = f"{type(error).__name__}: {error}"
                yield run


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
    images, _, labels, _ = data.split(0)
    available, missing = {}, {}
    for name, recipe in recipes.items():
        try:
            recipe.build()[:-1].fit_transform(images[:N_WARM_UP], labels[:N_WARM_UP])
        except MissingExtraError as error:
            missing[name] = str(error)
            continue
        except Exception:  # it will come again, and then be recorded
            pass
        available[name] = recipe
    return available, missing


def _measure(pipeline: BaseEstimator, split: Split) -> Run:
    X_train, X_test, y_train, y_test = split
    start = time.perf_counter()
    pipeline.fit(X_train, y_train)
    fitted = time.perf_counter()
    predicted = pipeline.predict(X_test)
    done = time.perf_counter()
    classes = np.unique(np.concatenate([y_train, y_test]))
    return {
        "accuracy": float(accuracy_score(y_test, predicted)),
        "macro_f1": float(f1_score(y_test, predicted, average="macro", zero_division=0.0)),
        "fit_seconds": fitted - start,
        "images_per_second": len(y_test) / (done - fitted),
        "n_features": int(pipeline[:-1].transform(X_test[:1]).shape[1]),
        "classes": classes.tolist(),
        "confusion_matrix": confusion_matrix(y_test, predicted, labels=classes).tolist(),
    }


def _split_textures(repeat: int) -> Split:
    fold = repeat % 4
    train = datasets.load_textures("train", patch_size=32, fold=fold)
    test = datasets.load_textures("test", patch_size=32, fold=fold)
    return train.images, test.images, train.target, test.target


def _random_split(X: Any, y: NDArray, test_size: float, seed: int) -> Callable[[int], Split]:
    labels, counts = np.unique(y, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            f"Class {labels[counts.argmin()]!r} has a single image: at least 2 are needed to have "
            "one to train and one to test on."
        )
    return lambda repeat: train_test_split(
        X, y, test_size=test_size, stratify=y, random_state=seed + repeat
    )
