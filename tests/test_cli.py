import csv
import io
import json
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgfeat.cli import main
from imgfeat.evaluation import shipped_data
from imgfeat.recipes import list_recipes

PIPELINES = Path(__file__).parents[1] / "pipelines"


class Page(HTMLParser):
    """Collect what a page refers to and how many tables of each class it has."""

    def __init__(self):
        super().__init__()
        self.links, self.tables = [], []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[key] for key in ("src", "href") if key in values]
        if tag == "table":
            self.tables.append(values.get("class"))


@pytest.fixture(scope="module")
def model(texture_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.skops"
    assert main(["train", "lbp_svm", str(texture_folder), "--out", str(path)]) == 0
    return str(path)


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    return status, *capsys.readouterr()


def test_recipes_are_listed(capsys):
    status, out, _ = run(capsys, "recipes")
    assert status == 0
    names = [line.split()[0] for line in out.splitlines()]
    assert names == list(list_recipes())
    assert {"cnn_svm", "hog_lbp_boosting", "hog_svm", "lbp_svm"} <= set(names)
    assert "Shape: HOG features" in out


def test_benchmark_of_a_folder(capsys, texture_folder, tmp_path):
    status, out, err = run(
        capsys, "benchmark", texture_folder, "--recipes", "lbp_svm", "hog_svm", "--repeats", "2",
        "--seed", "5", "--folds", "3", "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 0
    assert "lbp_svm" in out
    assert "12/12" in err
    content = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert {"commit", "versions", "machine"} <= set(content["environment"])
    assert [(r["recipe"], r["repeat"], r["fold"]) for r in content["runs"]] == [
        (name, fold // 3, fold) for name in ("lbp_svm", "hog_svm") for fold in range(6)
    ]
    for run_ in content["runs"]:
        matrix = np.array(run_["confusion_matrix"])
        assert matrix.sum() == run_["n_test"] == 8
        assert run_["accuracy"] == pytest.approx(np.trace(matrix) / 8)
        assert run_["classes"] == ["brick", "grass"]
        assert run_["fit_seconds"] > 0
        assert run_["images_per_second"] > 0
    assert content["runs"][-1]["n_features"] == 1764
    page = Page()
    page.feed((tmp_path / "out" / "benchmark.html").read_text())
    assert page.links == []
    assert page.tables == ["summary"] + ["matrix"] * 2


def test_the_benchmark_names_no_winner_that_is_none(capsys, texture_folder, tmp_path):
    twin = tmp_path / "twin.py"
    twin.write_text((PIPELINES / "lbp_svm.py").read_text())
    dummy = tmp_path / "dummy.py"
    dummy.write_text(
        '"""Guesses."""\n'
        "from sklearn.dummy import DummyClassifier\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from imgfeat import LBP, ImageLoader\n"
        "SPACE = {}\n"
        "def build(random_state=0):\n"
        "    return make_pipeline(ImageLoader(32, color='gray'), LBP(), DummyClassifier())\n"
    )
    verdicts = {}
    for entrants in (["lbp_svm", dummy], [twin, "lbp_svm", dummy]):
        status, out, _ = run(
            capsys, "benchmark", texture_folder, "--recipes", *entrants, "--out", tmp_path / "out"
        )
        assert status == 0
        content = json.loads((tmp_path / "out" / "benchmark.json").read_text())
        verdicts = {row["recipe"]: row["verdict"] for row in content["summary"]}
        html = (tmp_path / "out" / "benchmark.html").read_text()
        if len(entrants) == 2:
            assert verdicts == {"lbp_svm": "winner", "dummy": "worse than the best"}
            assert content["comparisons"][texture_folder.name]["winner"] == "lbp_svm"
            assert "lbp_svm is significantly better than every other recipe" in out
            assert 'class="winner"' in html
    assert verdicts == {
        "twin": "best, but tied", "lbp_svm": "tied with the best", "dummy": "worse than the best",
    }  # fmt: skip
    assert content["comparisons"][texture_folder.name]["winner"] is None
    assert "No winner: twin is not significantly better than lbp_svm." in out
    assert "tied with the best" in html
    assert 'class="winner"' not in html


def test_benchmark_with_a_test_folder(capsys, texture_folder, tmp_path):
    shutil.copytree(texture_folder, tmp_path / "test")
    status, out, _ = run(
        capsys, "benchmark", texture_folder, "--test", tmp_path / "test", "--recipes", "lbp_svm",
        "hog_svm", "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 0
    content = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert len(content["runs"]) == 2
    assert content["runs"][0]["n_train"] == content["runs"][0]["n_test"] == 24
    assert "paired bootstrap over the test images" in out
    (tmp_path / "test" / "brick").rename(tmp_path / "test" / "stone")
    status, _, err = run(capsys, "benchmark", texture_folder, "--test", tmp_path / "test")
    assert status == 2
    assert "stone" in err


def test_benchmark_on_shipped_images(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, _ = run(capsys, "benchmark", "--recipes", "lbp_svm", "--folds", "2")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["textures", "faces", "digits"]
    (page,) = tmp_path.glob("results/*/benchmark.html")
    assert str(page.relative_to(tmp_path)) in out
    runs = json.loads(page.with_suffix(".json").read_text())["runs"]
    sizes = [(r["n_train"], r["n_test"], r["repeat"]) for r in runs if r["data"] == "textures"]
    assert sizes == [(384, 384, 0), (384, 384, 0), (384, 384, 1), (384, 384, 1)]


def test_textures_share_no_pixel_between_training_and_test():
    textures, faces, _ = shipped_data()
    for train, test in textures.folds:
        train_patches = {textures.X[i].tobytes() for i in train}
        assert not any(textures.X[i].tobytes() in train_patches for i in test)
        assert len(train) == len(test) == 384
    assert sorted(np.concatenate([test for _, test in faces.folds])) == list(range(200))


def test_results_are_kept_run_by_run(capsys, texture_folder, tmp_path, monkeypatch):
    import imgfeat.evaluation.comparison.runs as runs

    run_fold = runs._run_fold

    def interrupted(job, number, fold):
        if number == 2:
            raise KeyboardInterrupt
        return run_fold(job, number, fold)

    monkeypatch.setattr(runs, "_run_fold", interrupted)
    status, _, err = run(
        capsys, "benchmark", texture_folder, "--recipes", "lbp_svm", "--out", tmp_path
    )
    assert (status, "interrupted" in err) == (130, True)
    content = json.loads((tmp_path / "benchmark.json").read_text())
    assert len(content["runs"]) == 2
    assert content["summary"][0]["verdict"] is None
    assert "lbp_svm" in (tmp_path / "benchmark.html").read_text()


def test_a_failing_recipe_costs_no_other(capsys, texture_folder, tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text(
        '"""Fails on purpose, with <b>markup</b>."""\nSPACE = {}\n\n\n'
        'def build(random_state=0):\n    raise RuntimeError("<b>no</b>")\n'
    )
    status, out, _ = run(
        capsys, "benchmark", texture_folder, "--recipes", bad, "lbp_svm", "--folds", "2",
        "--repeats", "1", "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 1
    assert "RuntimeError: <b>no</b>" in out
    html = (tmp_path / "out" / "benchmark.html").read_text()
    assert "&lt;b&gt;no&lt;/b&gt;" in html
    assert "<b>no" not in html
    runs = json.loads((tmp_path / "out" / "benchmark.json").read_text())["runs"]
    assert ["error" in r for r in runs] == [True, True, False, False]


def test_evaluate_writes_what_it_finds(capsys, model, texture_folder, tmp_path):
    page, text = tmp_path / "report.html", tmp_path / "report.md"
    status, out, err = run(
        capsys, "evaluate", model, texture_folder, "--report", page, "--report", text
    )
    assert status == 0
    assert "24 images, 2 classes" in out
    assert "balanced accuracy" in out
    assert str(page) in err
    assert "Most confident errors" in page.read_text()
    assert "## Classes" in text.read_text()
    assert (tmp_path / "report_files" / "roc-curves.png").is_file()


def test_evaluate_compares_the_classes(capsys, model, texture_folder, tmp_path):
    shutil.copytree(texture_folder, tmp_path / "data")
    (tmp_path / "data" / "grass").rename(tmp_path / "data" / "lawn")
    status, out, err = run(capsys, "evaluate", model, tmp_path / "data")
    assert (status, out) == (2, "")
    assert "was not trained on: lawn. Its classes are brick, grass." in err


def test_evaluate_mentions_classes_without_images(capsys, texture_folder, tmp_path):
    shutil.copytree(texture_folder, tmp_path / "data")
    shutil.copytree(tmp_path / "data" / "brick", tmp_path / "data" / "wall")
    out = tmp_path / "m.skops"
    assert run(capsys, "train", "lbp_svm", tmp_path / "data", "--out", out)[0] == 0
    status, text, err = run(capsys, "evaluate", out, texture_folder)
    assert status == 0
    assert "imgfeat: warning: no images of wall in" in err
    assert "Without images: class wall" in text


def test_evaluate_and_bad_images(capsys, model, texture_folder, tmp_path):
    shutil.copytree(texture_folder, tmp_path / "data")
    (tmp_path / "data" / "brick" / "00.png").write_bytes(b"nonsense")
    status, _, err = run(capsys, "evaluate", model, tmp_path / "data")
    assert (status, "00.png" in err, "--skip-bad" in err) == (2, True, True)
    with pytest.warns(UserWarning, match="Left out 1"):
        status, out, _ = run(capsys, "evaluate", model, tmp_path / "data", "--skip-bad")
    assert (status, "23 images" in out) == (0, True)


def test_predict_as_csv(capsys, model, texture_folder):
    files = sorted(texture_folder.glob("brick/0*.png"))
    status, out, _ = run(capsys, "predict", model, *files[:2], texture_folder / "grass")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert [row["label"] for row in rows] == ["brick"] * 2 + ["grass"] * 12
    assert rows[0]["path"] == str(files[0])
    assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)


def test_predict_as_json_from_a_pattern(capsys, model, texture_folder):
    status, out, _ = run(
        capsys, "predict", model, f"{texture_folder}/**/0[01].png", "--format", "json"
    )
    rows = json.loads(out)
    assert status == 0
    assert [row["label"] for row in rows] == ["brick", "brick", "grass", "grass"]
    assert set(rows[0]) == {"path", "label", "probability"}


def test_predict_loses_no_image_to_a_damaged_one(capsys, model, texture_folder, tmp_path):
    good = texture_folder / "brick" / "00.png"
    (tmp_path / "bad.png").write_bytes(b"nonsense")
    status, out, err = run(capsys, "predict", model, good, tmp_path / "bad.png", good.parent)
    assert status == 1
    assert len(out.splitlines()) == 1 + 12
    assert "bad.png" in err


def test_own_recipe_file_trains(capsys, texture_folder, tmp_path):
    recipe = tmp_path / "mine.py"
    recipe.write_text(
        '"""Tiny."""\n'
        "from sklearn.linear_model import RidgeClassifier\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from imgfeat import LBP, ImageLoader\n"
        "SPACE = {}\n"
        "def build(random_state=0):\n"
        '    return make_pipeline(ImageLoader(32, color="gray"), LBP(), RidgeClassifier())\n'
    )
    out = tmp_path / "m.skops"
    assert run(capsys, "train", recipe, texture_folder, "--out", out)[0] == 0
    status, text, _ = run(capsys, "predict", out, texture_folder / "brick" / "00.png")
    assert status == 0
    assert text.splitlines()[1].endswith(",")  # no probability where the model has none


def test_bad_images_stop_training_unless_left_out(capsys, texture_folder, tmp_path):
    shutil.copytree(texture_folder, tmp_path / "data")
    (tmp_path / "data" / "brick" / "00.png").write_bytes(b"nonsense")
    command = ["train", "lbp_svm", tmp_path / "data", "--out", tmp_path / "m.skops"]
    status, _, err = run(capsys, *command)
    assert status == 2
    assert "00.png" in err
    assert "--skip-bad" in err
    assert not (tmp_path / "m.skops").exists()
    status, _, err = run(
        capsys, "benchmark", tmp_path / "data", "--recipes", "lbp_svm", "--out", tmp_path / "out"
    )
    assert (status, "00.png" in err, "--skip-bad" in err) == (2, True, True)
    with pytest.warns(UserWarning, match="Left out 1"):
        assert run(capsys, *command, "--skip-bad")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "absent.skops", "a.png"], "No model file absent.skops"),
        (["train", "no_such", ".", "--out", "m.skops"], "hog_svm"),
        (["train", "hog_svm", "absent", "--out", "m.skops"], "absent is not a folder"),
        (["train", "hog_svm", ".", "--out", "absent/m.skops"], "no folder absent"),
        (["benchmark", "--test", "somewhere"], "--test needs"),
        (["evaluate", "absent.skops", "."], "No model file absent.skops"),
        (["evaluate", "m.skops", ".", "--report", "r.pdf"], ".html or .md"),
        (["evaluate", "m.skops", ".", "--report", "absent/r.html"], "folder absent of the report"),
    ],
)
def test_errors_are_one_line(capsys, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert message in err
    assert err.startswith("imgfeat: error:")
    assert len(err.splitlines()) == 1


def test_no_image_found(capsys, model, tmp_path):
    status, _, err = run(capsys, "predict", model, tmp_path / "*.png")
    assert (status, "No image at" in err) == (2, True)


@pytest.mark.parametrize("arguments", [["--folds", "1"], ["--repeats", "0"]])
def test_numbers_out_of_range(capsys, arguments):
    with pytest.raises(SystemExit):
        main(["benchmark", *arguments])
    assert "must" in capsys.readouterr().err


def test_sign_digits(capsys, sign_digits, tmp_path):
    status, _, _ = run(
        capsys, "benchmark", sign_digits, "--recipes", "lbp_svm", "--folds", "2",
        "--out", tmp_path,
    )  # fmt: skip
    assert status == 0
    run_ = json.loads((tmp_path / "benchmark.json").read_text())["runs"][0]
    assert run_["accuracy"] > 0.75
    assert run_["n_train"] + run_["n_test"] == 2062


def test_photographs_of_any_mode(capsys, model, tmp_path, photographs):
    for mode in ("RGB", "L", "P", "RGBA", "CMYK"):
        kind = "jpg" if mode == "CMYK" else "png"
        Image.fromarray(photographs[0]).convert(mode).save(tmp_path / f"{mode}.{kind}")
    status, out, _ = run(capsys, "predict", model, tmp_path)
    assert status == 0
    assert len(out.splitlines()) == 6


def test_each_image_is_decoded_once(capsys, model, texture_folder, monkeypatch):
    import imgfeat.images.loading

    decoded = []
    read_image = imgfeat.images.loading.read_image
    monkeypatch.setattr(
        imgfeat.images.loading,
        "read_image",
        lambda source, **options: decoded.append(source) or read_image(source, **options),
    )
    assert run(capsys, "predict", model, texture_folder)[0] == 0
    assert sorted(decoded) == sorted(str(p) for p in texture_folder.glob("*/*.png"))


def test_a_reader_that_stops_early_is_no_error(capsys, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    redirected = []
    monkeypatch.setattr("os.dup2", lambda source, target: redirected.append((source, target)))
    assert main(["recipes"]) == 0
    ((source, target),) = redirected
    os.close(source)
    assert target == 1
    assert capsys.readouterr().err == ""
