import csv
import io
import shutil

import numpy as np
import pytest
from sklearn.decomposition import FactorAnalysis
from sklearn.pipeline import make_pipeline

from imgfeat import HOG, ImageLoader, load_model, save_model
from imgfeat.cli import main
from imgfeat.datasets import load_folder, load_textures
from imgfeat.ensembles import svm
from imgfeat.evaluation import evaluate
from imgfeat.evaluation.prediction import predict_images
from imgfeat.export import load_onnx


@pytest.fixture(scope="module")
def model(texture_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.skops"
    assert main(["train", "lbp_svm", str(texture_folder), "--out", str(path)]) == 0
    return str(path)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("export") / "m.onnx")
    assert main(["export", model, path]) == 0
    return path


def read_rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_what_it_proved_is_printed(model, texture_folder, tmp_path, capsys):
    out = tmp_path / "m.onnx"
    assert main(["export", model, str(out), "--check", str(texture_folder)]) == 0
    printed = capsys.readouterr().out
    # 24 patches of the folder and 24 photographs that ship along.
    assert printed.startswith(f"{out}: 48 of 48 images agree, 0 tie(s) tolerated, 0 disagree")
    assert out.is_file()


def test_predict_says_what_the_model_says(model, exported, texture_folder, capsys):
    assert main(["predict", exported, str(texture_folder)]) == 0
    rows = read_rows(capsys.readouterr().out)
    assert main(["predict", model, str(texture_folder)]) == 0
    expected = read_rows(capsys.readouterr().out)
    assert len(rows) == 24
    for row, other in zip(rows, expected, strict=True):
        assert (row["path"], row["label"]) == (other["path"], other["label"])
        assert float(row["probability"]) == pytest.approx(float(other["probability"]), abs=1e-4)


def test_unreadable_images_are_named_and_the_others_predicted(exported, texture_folder, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(texture_folder / "brick", folder)
    (folder / "00.png").write_bytes(b"broken")
    stdout = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", stdout)
        assert main(["predict", exported, str(folder)]) == 1
    assert len(read_rows(stdout.getvalue())) == 11


def test_evaluate_measures_the_file(model, exported, texture_folder, tmp_path, capsys):
    report = tmp_path / "report.html"
    command = ["evaluate", exported, str(texture_folder), "--report", str(report)]
    assert main(command) == 0
    own = capsys.readouterr().out
    assert main(["evaluate", model, str(texture_folder)]) == 0
    # Only the pipeline itself knows what it was trained on.
    lines = capsys.readouterr().out.splitlines()
    assert own.splitlines() == [line for line in lines if "in the training set" not in line]
    assert report.is_file()


def test_a_file_runs_once_for_labels_and_probabilities(exported, texture_folder, monkeypatch):
    file = load_onnx(exported)
    paths, labels = load_folder(texture_folder)
    expected = file.predict(paths), file.predict_proba(paths)
    names = []
    run = file._run
    monkeypatch.setattr(file, "_run", lambda wanted, X: names.append(wanted) or run(wanted, X))
    found = predict_images(file, paths)
    assert names == [["label", "probabilities"]]
    np.testing.assert_array_equal(found.labels, expected[0])
    np.testing.assert_array_equal(found.scores, expected[1])
    assert evaluate(file, paths, labels).metrics["accuracy"].value == np.mean(expected[0] == labels)


def test_a_part_if_asked_for(tmp_path, capsys):
    train = load_textures("train")
    factors = FactorAnalysis(4, random_state=0)
    pipeline = make_pipeline(ImageLoader(32, color="gray"), HOG(), factors, svm())
    path = tmp_path / "m.skops"
    save_model(pipeline.fit(train.images, train.target), path)
    command = ["export", str(path), str(tmp_path / "m.onnx")]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "factoranalysis (FactorAnalysis), cannot be converted" in error
    assert not (tmp_path / "m.onnx").exists()
    assert main([*command, "--partial"]) == 0
    assert "left out: factoranalysis, pipeline__scale, pipe" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.skops", "m.onnx"], "No model file absent.skops"),
        (["MODEL", "nowhere/m.onnx"], "there is no folder nowhere"),
        (["MODEL", "m.onnx", "--int8"], "no network in this pipeline to quantise"),
        (["MODEL", "m.onnx", "--check", "empty"], "No images in empty"),
    ],
)
def test_bad_input(arguments, message, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(["export", *(model if a == "MODEL" else a for a in arguments)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("imgfeat: error: ")
    assert message in error
    assert not (tmp_path / "m.onnx").exists()


def test_the_model_itself_is_not_changed(model, exported, texture_folder):
    paths, labels = load_folder(texture_folder)
    assert load_model(model).score(paths, labels) == 1
