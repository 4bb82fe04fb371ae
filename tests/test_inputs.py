"""docs/inputs.md: each row of its table, on each kind of transformer."""

import pathlib
import re

import numpy as np
import pandas as pd
import PIL.Image
import polars as pl
import pytest
import scipy.sparse
import torch
from skimage import data
from sklearn.pipeline import make_pipeline

from imgfeat import GLCM, HOG, BagOfVisualWords, Batched, ImageLoader

TABLE = pathlib.Path(__file__).parents[1] / "docs" / "inputs.md"
IMAGES = np.stack([data.astronaut()[y : y + 32, x : x + 32] for y in (40, 160) for x in (200, 240)])


# Warnings are errors in these tests.
REFUSALS = {"TypeError": TypeError, "ValueError": ValueError, "UserWarning": UserWarning}


def read_rows():
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [(re.match("`([^`]+)`", cell[0])[1], cell[0], *cell[1:]) for cell in cells][1:]


def as_objects(images):
    array = np.empty(len(images), dtype=object)
    array[:] = list(images)
    return array


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    paths = [str(folder / f"{number}.png") for number in range(4)]
    for path, image in zip(paths, IMAGES, strict=True):
        PIL.Image.fromarray(image).save(path)
    modules = {"np": np, "pd": pd, "pl": pl, "PIL": PIL, "torch": torch, "scipy": scipy}
    modules["pathlib"] = pathlib
    return modules | {"images": IMAGES, "paths": paths, "as_objects": as_objects}


def make_features(options):
    return [
        HOG(**options),
        GLCM(**options),
        BagOfVisualWords(n_words=4, random_state=0, **options),
        Batched(HOG(**options), batch_size=3),
    ]


def make_loaders():
    return [
        ImageLoader(32),
        Batched(ImageLoader(32), batch_size=3),
        make_pipeline(ImageLoader(32), HOG()),
        Batched(make_pipeline(ImageLoader(32), HOG()), batch_size=3),
    ]


def check(transformer, make, outcome):
    """See that the result is that of the images, or the error the one of the table."""
    if outcome in REFUSALS:
        with pytest.raises(REFUSALS[outcome]):
            transformer.fit(make()).transform(make())
        return
    X = make()
    found = np.asarray(transformer.fit(X).transform(X), dtype=float)
    if outcome == "taken":
        expected = transformer.fit(IMAGES).transform(IMAGES)
        if np.asarray(X).dtype.kind == "f":  # where lengths of gradients may tie; see HOG
            assert np.abs(found - expected).mean() < 0.02
        else:
            np.testing.assert_array_equal(np.asarray(found), expected)
    else:
        assert found.shape[0] == len(X)


@pytest.mark.filterwarnings("ignore:.*LazyFrame:polars.exceptions.PerformanceWarning")
@pytest.mark.parametrize("row", read_rows(), ids=lambda row: row[0])
def test_the_table_of_inputs(row, names):
    code, text, features, loader = row
    options = {}
    if "image_shape" in text:
        options["image_shape"] = (32, 32, 3)

    def make():
        return eval(code, dict(names))

    for transformer in make_features(options):
        check(transformer, make, features)
    for transformer in make_loaders():
        check(transformer, make, loader)


def test_the_table_is_read():
    assert len(read_rows()) > 30
    assert len({row[0] for row in read_rows()}) == len(read_rows())
