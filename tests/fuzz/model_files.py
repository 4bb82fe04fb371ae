"""Damaged and forged .skops files.

Damaged files have random changes of bytes, which the checksum ("seal") must detect: such a file
must predict as before or raise `ModelFileError`. Forged files have changed numbers in the arrays
or in the description of the objects, and a valid checksum: such a file may predict anything, but
must not end the process, which is tested in a child process.
"""

import collections
import contextlib
import functools
import io
import json
import multiprocessing
import tempfile
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from fuzz.mutations import mutate
from imgfeat import (
    GLCM,
    HOG,
    LBP,
    BagOfVisualWords,
    FisherVector,
    ModelFileError,
    load_model,
    save_model,
)
from imgfeat._models.archive import CHECKSUM_NAME, write_checksum
from imgfeat.datasets import load_textures
from imgfeat.ensembles import bagging, boosting, svm

SIDE = 32
# Number of forged files per child process.
BATCH = 50


@functools.cache
def load_images() -> tuple[Any, Any]:
    """Return small patches of built-in textures, and their labels."""
    data = load_textures("train")
    rows = np.random.default_rng(0).permutation(len(data.images))[:40]
    return data.images[rows][:, :SIDE, :SIDE], data.target[rows]


@functools.cache
def make_seeds() -> dict[str, bytes]:
    """Return the contents of model files, by name."""
    X, y = load_images()
    trees = {"n_estimators": 3, "random_state": 0}
    models = {
        "svm": make_pipeline(HOG(), svm(probability=True)),
        "primal": make_pipeline(HOG(), svm(max_exact=0)),
        "boosting": make_pipeline(LBP(grid=2), boosting(max_iter=3, random_state=0)),
        "lightgbm": make_pipeline(
            LBP(grid=2), boosting(library="lightgbm", max_iter=2, early_stopping=False, n_jobs=1)
        ),
        "xgboost": make_pipeline(
            LBP(grid=2), boosting(library="xgboost", max_iter=2, early_stopping=False, n_jobs=1)
        ),
        "bagging": make_pipeline(LBP(n_points=4), bagging(n_estimators=3, random_state=0)),
        "forest": make_pipeline(GLCM(), RandomForestClassifier(**trees)),
        "gradient": make_pipeline(GLCM(levels=8), GradientBoostingClassifier(**trees)),
        "histogram": make_pipeline(LBP(), HistGradientBoostingClassifier(max_iter=3)),
        "neighbours": make_pipeline(LBP(), SelectKBest(k=4), KNeighborsClassifier(3)),
        "brute": make_pipeline(LBP(), KNeighborsClassifier(3, algorithm="brute")),
        "libsvm": make_pipeline(LBP(), SVC()),
        "words": make_pipeline(BagOfVisualWords(n_words=8, random_state=0), svm(kernel="linear")),
        "fisher": make_pipeline(
            FisherVector("patch", n_modes=2, patch_size=8, random_state=0), svm()
        ),
    }
    seeds = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.skops"
        for name, model in models.items():
            save_model(model.fit(X, y), path)
            seeds[name] = path.read_bytes()
    return seeds


def forge(content: bytes, rng: np.random.Generator) -> bytes:
    """Change numbers in a model file, and write a valid checksum."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist() if name != CHECKSUM_NAME}
    for _ in range(int(rng.integers(1, 4))):
        name = str(rng.choice(list(members)))
        if name.endswith(".npy") and rng.random() < 0.7:
            members[name] = _change_array(members[name], rng)
        else:
            members["schema.json"] = _change_schema(members["schema.json"], rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.skops"
        with zipfile.ZipFile(path, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, member)
        write_checksum(path)
        return path.read_bytes()


def _change_array(content: bytes, rng: np.random.Generator) -> bytes:
    array = np.load(io.BytesIO(content))
    raw = array.reshape(-1).copy()
    if raw.size and rng.random() < 0.8:
        place = int(rng.integers(raw.size))
        field = raw if raw.dtype.names is None else raw[str(rng.choice(raw.dtype.names))]
        if field.dtype.kind in "iu":
            limits = np.iinfo(field.dtype)
            values = [limits.min, limits.max, 0, 1, len(raw), len(raw) + 7]
            field[place] = min(values[int(rng.integers(len(values)))], limits.max)
        elif field.dtype.kind == "f":
            field[place] = rng.choice([np.nan, np.inf, -1e300 if field.itemsize == 8 else -1e30])
        raw = raw.reshape(array.shape)
    elif rng.random() < 0.5:
        raw = raw[: raw.size // 2]
    else:
        raw = raw.reshape(array.shape[::-1])
    stream = io.BytesIO()
    np.save(stream, raw)
    return stream.getvalue()


def _change_schema(content: bytes, rng: np.random.Generator) -> bytes:
    schema = json.loads(content)
    nodes: list[dict[str, Any]] = []
    _list_constants(schema, nodes)
    node = nodes[int(rng.integers(len(nodes)))]
    value = json.loads(node["content"])
    if isinstance(value, (int, float)):
        value = [-1, 0, 1, value + 1, value * 1000, 2**40, 0.5][int(rng.integers(7))]
    elif isinstance(value, str) and len(value) > 1000:
        place = int(rng.integers(len(value)))
        value = value[:place] + str(int(rng.integers(100))) + value[place + 1 :]
    else:
        value = [None, 3, "default", [1, 2], True, ""][int(rng.integers(6))]
    node["content"] = json.dumps(value)
    # Several nodes share the id of one object: without it, only this node changes.
    node.pop("__id__", None)
    return json.dumps(schema).encode()


def _list_constants(part: Any, found: list[dict[str, Any]]) -> None:
    if isinstance(part, list):
        for inner in part:
            _list_constants(inner, found)
    elif isinstance(part, dict):
        if part.get("__loader__") == "JsonNode":
            found.append(part)
        for inner in part.values():
            _list_constants(inner, found)


def try_file(path: Path) -> tuple[str, Any]:
    """Return the outcome of loading a file, and its predictions if it has any."""
    X, _ = load_images()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model = load_model(path)
        except ModelFileError:
            return "refused", None
        try:
            return "predicted", model.predict(X).tolist()
        except Exception as error:  # allowed: the forged model may not fit the images
            return f"predict: {type(error).__name__}", None


def fuzz(
    rng: np.random.Generator, deadline: float | None = None, n: int | None = None
) -> collections.Counter:
    """Damage and forge files until the deadline, or `n` of each kind, and count the outcomes.

    Raises
    ------
    AssertionError
        If a damaged file predicts other labels or raises another error than ModelFileError, or a
        forged file ends the process.
    """
    counts: collections.Counter = collections.Counter()
    seeds = make_seeds()
    folder = Path(tempfile.mkdtemp(prefix="imgfeat-fuzz-models-"))
    right = {}
    for name, content in seeds.items():
        (folder / "m.skops").write_bytes(content)
        right[name] = try_file(folder / "m.skops")
        assert right[name][0] == "predicted", name
    done = 0
    while (n is None or done < n) and (deadline is None or time.monotonic() < deadline):
        size = BATCH if n is None else min(BATCH, n - done)
        for _ in range(size):
            name = str(rng.choice(list(seeds)))
            path = folder / f"damaged-{name}.skops"
            path.write_bytes(mutate(seeds[name], rng))
            outcome = try_file(path)
            assert outcome == ("refused", None) or outcome == right[name], (path, outcome[0])
            counts[f"damaged: {outcome[0]}"] += 1
        forged = []
        for number in range(size):
            name = str(rng.choice(list(seeds)))
            forged.append(folder / f"forged-{number}-{name}.skops")
            forged[-1].write_bytes(forge(seeds[name], rng))
        counts.update(f"forged: {outcome}" for outcome in _try_in_process(forged))
        done += size
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return counts


def _try_in_process(paths: list[Path]) -> list[str]:
    """Load files in a child process, and return the outcomes; fail if a file ends the process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_report, args=(paths, sender))
    child.start()
    sender.close()
    outcomes = []
    with contextlib.suppress(EOFError):
        while True:
            outcomes.append(receiver.recv())
    child.join()
    assert len(outcomes) == len(paths), (
        f"{paths[len(outcomes)]} ended the process, {child.exitcode}"
    )
    return outcomes


def _report(paths: list[Path], sender: Any) -> None:
    with sender:
        for path in paths:
            sender.send(try_file(path)[0])
