"""Every file in pipelines/ is a recipe that keeps its promises."""

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from imgfeat import load_model, save_model
from imgfeat.datasets import load_textures
from imgfeat.recipes import RecipeError, list_recipes, load_recipe

NAMES = list(list_recipes())
TUNED = [(name, parameter) for name in NAMES for parameter in load_recipe(name).space]


@pytest.fixture(scope="module")
def textures():
    bunch = load_textures("train", patch_size=64)
    rows = np.concatenate([np.flatnonzero(bunch.target == t)[:8] for t in ("brick", "grass")])
    return bunch.images[rows], bunch.target[rows]


def ends(distribution):
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    return distribution.low, distribution.high


def test_the_promised_recipes_are_there():
    expected = {
        "cnn_logistic",
        "cnn_svm",
        "hog_svm",
        "lbp_svm",
        "hog_lbp_boosting",
        "hog_lbp_fused_svm",
    }
    assert expected <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_recipe_is_documented_and_builds(name):
    recipe = load_recipe(name)
    assert 20 < len(recipe.description) <= 100
    assert recipe.description.endswith(".")
    assert inspect.signature(recipe.build).parameters["random_state"].default == 0
    pipeline = recipe.build(random_state=3)
    assert isinstance(pipeline, Pipeline)
    assert 3 in [v for k, v in pipeline.get_params().items() if k.endswith("random_state")]
    assert set(recipe.space) <= set(pipeline.get_params())
    assert all(isinstance(d, BaseDistribution) for d in recipe.space.values())


@pytest.mark.parametrize(("name", "parameter"), TUNED)
def test_both_ends_of_every_range_fit(name, parameter, textures):
    recipe = load_recipe(name)
    for value in ends(recipe.space[parameter]):
        model = recipe.build().set_params(**{parameter: value}).fit(*textures)
        assert set(model.predict(textures[0][::4])) <= {"brick", "grass"}


@pytest.mark.parametrize("name", NAMES)
def test_recipe_clones_and_survives_skops(name, textures, tmp_path):
    X, y = textures
    model = clone(load_recipe(name).build()).fit(X, y)
    assert model.score(X, y) > 0.9
    save_model(model, tmp_path / "m.skops")
    again = load_model(tmp_path / "m.skops")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))


@pytest.mark.parametrize("name", NAMES)
def test_recipe_file_defines_no_class_and_no_lambda(name):
    source = (Path(__file__).parents[1] / "pipelines" / f"{name}.py").read_text()
    assert "class " not in source
    assert "lambda" not in source


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text('"""Mine."""\nSPACE = {}\n\n\ndef build(random_state=0):\n    return 1\n')
    recipe = load_recipe(path)
    assert (recipe.name, recipe.description, recipe.build()) == ("mine", "Mine.", 1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("SPACE = {}\ndef build(): ...\n", "docstring"),
        ('"""D."""\nSPACE = {}\n', "build"),
        ('"""D."""\ndef build(): ...\n', "SPACE"),
        ('"""D."""\n1 / 0\n', "ZeroDivisionError"),
        ('"""D.', "not a Python file"),
    ],
)
def test_files_that_are_no_recipe(tmp_path, source, message):
    path = tmp_path / "bad.py"
    path.write_text(source)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_unknown_names_list_the_known(tmp_path):
    with pytest.raises(RecipeError, match="hog_svm"):
        load_recipe("hog_swm")


def test_recipes_are_found_from_anywhere(tmp_path):
    code = "from imgfeat.recipes import list_recipes; print(sorted(list_recipes()))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == str(sorted(NAMES))
