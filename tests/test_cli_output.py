"""What the command writes: several labels, names in any encoding, readers that go, near names."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline

import imgfeat
from imgfeat import HOG, ImageLoader, save_model
from imgfeat.cli import main
from imgfeat.datasets import load_folder
from imgfeat.ensembles import svm
from imgfeat.export import to_onnx

UNENCODABLE = pytest.mark.skipif(
    os.name == "nt" or os.uname().sysname == "Darwin", reason="file names are Unicode there"
)


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    return status, *capsys.readouterr()


def fit(texture_folder, head, y=None):
    paths, labels = load_folder(texture_folder)
    model = make_pipeline(ImageLoader(24, color="gray"), HOG(), head)
    return model.fit(paths, labels if y is None else y), paths


def indicate(n=24):
    """Return an indicator matrix in which some images have no label and some have all."""
    return (np.random.default_rng(0).uniform(size=(n, 3)) < 0.5).astype(int)


HEADS = {
    "svm": svm(probability=True, random_state=0),
    "forest": RandomForestClassifier(5, random_state=0),
    "outputs": MultiOutputClassifier(LogisticRegression()),
}


@pytest.mark.parametrize("name", HEADS)
def test_several_labels(capsys, texture_folder, tmp_path, name):
    model, paths = fit(texture_folder, HEADS[name], indicate())
    said = model.predict(paths)
    sure = model.predict_proba(paths)
    if isinstance(sure, list):
        sure = np.column_stack([p[:, 1] for p in sure])
    save_model(model, tmp_path / "m.skops")
    files = [tmp_path / "m.skops"]
    if name == "svm":
        to_onnx(model, list(paths), tmp_path / "m.onnx")
        files.append(tmp_path / "m.onnx")
    for file in files:
        status, out, _ = run(capsys, "predict", file, texture_folder)
        rows = list(csv.DictReader(io.StringIO(out)))
        expected = [";".join(map(str, np.flatnonzero(row))) for row in said]
        assert status == 0
        assert [row["label"] for row in rows] == expected
        assert {"", "0;1;2"} <= set(expected)
        status, out, _ = run(capsys, "predict", file, texture_folder, "--format", "json")
        rows = json.loads(out)
        assert [row["path"] for row in rows] == paths.tolist()
        assert [row["label"] for row in rows] == [np.flatnonzero(row).tolist() for row in said]
        for row, labels, probabilities in zip(rows, said, sure, strict=True):
            np.testing.assert_allclose(
                row["probability"], probabilities[labels == 1], rtol=0, atol=1e-4
            )


def test_a_folder_does_not_tell_several_labels(capsys, texture_folder, tmp_path):
    model, _ = fit(texture_folder, svm(random_state=0), indicate())
    save_model(model, tmp_path / "m.skops")
    status, _, err = run(capsys, "evaluate", tmp_path / "m.skops", texture_folder)
    assert (status, "multi-label model, but a folder" in err) == (2, True)


def test_labels_that_are_no_strings(capsys, texture_folder, tmp_path):
    shutil.copytree(texture_folder / "brick", tmp_path / "data" / "-3")
    shutil.copytree(texture_folder / "grass", tmp_path / "data" / "20")
    paths, labels = load_folder(tmp_path / "data")
    model = make_pipeline(ImageLoader(24, color="gray"), HOG(), LogisticRegression())
    save_model(model.fit(paths, labels.astype(int)), tmp_path / "m.skops")
    status, out, _ = run(capsys, "evaluate", tmp_path / "m.skops", tmp_path / "data")
    assert (status, "24 images, 2 classes" in out) == (0, True)
    status, out, _ = run(capsys, "predict", tmp_path / "m.skops", tmp_path, "--format", "json")
    assert {row["label"] for row in json.loads(out)} == {-3, 20}


def test_a_regressor_is_not_evaluated(capsys, texture_folder, tmp_path):
    model, _ = fit(texture_folder, Ridge(), np.arange(24.0))
    save_model(model, tmp_path / "m.skops")
    status, out, err = run(capsys, "evaluate", tmp_path / "m.skops", texture_folder)
    assert (status, out) == (2, "")
    assert "which is a regressor" in err
    status, out, _ = run(capsys, "predict", tmp_path / "m.skops", texture_folder)
    assert (status, len(out.splitlines())) == (0, 25)


def test_no_header_before_a_failure(capsys, texture_folder, tmp_path):
    model, paths = fit(texture_folder, LogisticRegression())
    # Without its loader, it takes arrays and no files.
    save_model(model[1:], tmp_path / "m.skops")
    for form in ("csv", "json"):
        status, out, err = run(capsys, "predict", tmp_path / "m.skops", *paths, "--format", form)
        assert (status, out, err.startswith("imgfeat: error:")) == (2, "", True)


@pytest.fixture
def strange_folder(texture_folder, tmp_path):
    """Images of which some have names that no terminal, or some terminals only, can show."""
    root = tmp_path / "strange"
    shutil.copytree(texture_folder, root)
    for number, name in enumerate([b"caf\xe9.png", "猫.png".encode(), b"two\nlines.png"]):
        os.rename(
            os.fsencode(root / "brick" / f"{number:02}.png"),
            os.path.join(os.fsencode(root), b"brick", name),
        )
    return root


@UNENCODABLE
@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_names_that_the_output_cannot_encode(strange_folder, tmp_path, encoding, monkeypatch):
    model, paths = fit(strange_folder, LogisticRegression())
    save_model(model, tmp_path / "m.skops")
    for form in ("csv", "json"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr("sys.stdout", stream)
        status = main(["predict", str(tmp_path / "m.skops"), str(strange_folder), "--format", form])
        text = stream.buffer.getvalue().decode(encoding)
        monkeypatch.undo()
        assert status == 0
        if form == "csv":
            rows = list(csv.reader(io.StringIO(text)))
            shown = [str(p).encode(encoding, "backslashreplace").decode(encoding) for p in paths]
            assert [row[0] for row in rows[1:]] == shown
        else:
            assert [row["path"] for row in json.loads(text)] == paths.tolist()


@UNENCODABLE
def test_reports_of_files_with_such_names(capsys, strange_folder, tmp_path):
    from imgfeat.evaluation import evaluate, write_report

    labels = np.array(["a", os.fsdecode(b"\xe9")])
    model, paths = fit(strange_folder, LogisticRegression(), np.tile(labels, 12))
    with pytest.warns(UserWarning, match="24 of 24"):
        found = evaluate(model, paths, np.tile(labels[::-1], 12), n_bootstrap=2)
    folder = tmp_path / os.fsdecode(b"\xe9")
    folder.mkdir()
    for name in ("r.html", "r.md"):
        page = write_report(found, folder / name).read_text(encoding="utf-8")
        assert "udce9.png" in page
        assert "猫.png" in page


@UNENCODABLE
def test_a_report_whose_own_name_has_no_encoding(texture_folder, tmp_path):
    from imgfeat.evaluation import evaluate, write_report

    model, paths = fit(texture_folder, LogisticRegression())
    with pytest.warns(UserWarning, match="24 of 24"):
        found = evaluate(model, paths, load_folder(texture_folder)[1], n_bootstrap=2)
    page = write_report(found, tmp_path / os.fsdecode(b"\xe9.md")).read_text()
    assert "(%E9_files/" in page


def test_the_version(capsys):
    with pytest.raises(SystemExit) as error:
        main(["--version"])
    assert error.value.code == 0
    assert capsys.readouterr().out == f"imgfeat {imgfeat.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "hog_smv", ".", "--out", "m.skops"], "'hog_smv'. Did you mean hog_svm"),
        (["train", "HOG-SVM", ".", "--out", "m.skops"], "Did you mean hog_svm"),
        (["train", "hog_svm.py", ".", "--out", "m.skops"], "Did you mean hog_svm"),
        (["train", "my_recpie.py", ".", "--out", "m.skops"], "Did you mean my_recipe.py?"),
        (["benchmark", "--recipes", "lpb_svm"], "Did you mean lbp_svm"),
        (
            ["tune", "lbp_svm", ".", "--out", "m.skops", "--scoring", "acuracy"],
            "Did you mean accuracy",
        ),
    ],
)
def test_near_names_come_first(capsys, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_recipe.py").touch()
    status, _, err = run(capsys, *arguments)
    assert (status, len(err.splitlines())) == (2, 1)
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no command 'trian'. Did you mean train? Commands are benchmark,"),
        (["tune", "a", "b", "--out", "c", "--sampler", "tpee"], "Did you mean tpe?"),
    ],
)
def test_near_names_of_commands_and_options(capsys, arguments, message):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_near_names_of_classes(capsys, texture_folder, tmp_path):
    model, _ = fit(texture_folder, LogisticRegression())
    save_model(model, tmp_path / "m.skops")
    shutil.copytree(texture_folder, tmp_path / "data")
    (tmp_path / "data" / "grass").rename(tmp_path / "data" / "Gras")
    status, _, err = run(capsys, "evaluate", tmp_path / "m.skops", tmp_path / "data")
    assert (status, "not trained on: Gras. Did you mean grass? Its classes are" in err) == (2, True)


COMMAND = [sys.executable, "-c", "import sys; from imgfeat.cli import main; sys.exit(main())"]


@pytest.mark.parametrize("argument", ["recipes", "--help", "--version"])
def test_nobody_reads_the_output(argument):
    reading, writing = os.pipe()
    os.close(reading)
    found = subprocess.run(
        [*COMMAND, argument], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="signals are others there")
def test_an_interrupt_ends_quietly(tmp_path, texture_folder):
    recipe = tmp_path / "slow.py"
    recipe.write_text(
        '"""Interrupts itself."""\nimport os, signal\nSPACE = {}\n\n\n'
        "def build(random_state=0):\n    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    found = subprocess.run(
        [*COMMAND, "train", recipe, texture_folder, "--out", tmp_path / "m.skops"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 130
    assert found.stderr.splitlines()[-1] == "imgfeat: interrupted"
    assert "Traceback" not in found.stderr


def test_warnings_are_messages_of_the_command(texture_folder, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(texture_folder, folder)
    (folder / "odd").mkdir()
    (folder / "odd" / "a.png").write_bytes(b"nothing")
    command = [*COMMAND, "train", "hog_svm", str(folder), "--skip-bad"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "m.skops")], capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    assert all(line.startswith(("imgfeat: ", "Fitting", "Fitted")) for line in lines), lines
    assert any(line.startswith("imgfeat: warning: Left out 1 file") for line in lines)


@pytest.mark.parametrize(
    ("name", "message"),
    [("folder.skops", "is a folder"), ("m.onnx", "m.skops"), ("pipe", "not a regular file")],
)
@pytest.mark.parametrize("command", ["train", "tune"])
def test_where_no_model_can_be_is_known_before_fitting(
    capsys, texture_folder, tmp_path, command, name, message
):
    (tmp_path / "folder.skops").mkdir()
    os.mkfifo(tmp_path / "pipe")
    arguments = (command, "hog_svm", texture_folder, "--out", tmp_path / name)
    status, _, error = run(capsys, *arguments)
    assert status == 2
    assert message in error
    assert "Fitting" not in error


def test_the_model_is_not_replaced_by_its_export(capsys, texture_folder, tmp_path):
    path = tmp_path / "m.skops"
    save_model(fit(texture_folder, svm(random_state=0))[0], path)
    content = path.read_bytes()
    os.link(path, tmp_path / "link.onnx")
    for out in (path, tmp_path / "link.onnx"):
        status, _, error = run(capsys, "export", path, out)
        assert status == 2
        assert "is the model itself" in error
        assert path.read_bytes() == content


def test_onnx_files_by_an_ending_in_capitals(capsys, texture_folder, tmp_path):
    model, paths = fit(texture_folder, svm(random_state=0))
    to_onnx(model, paths, tmp_path / "M.ONNX")
    status, text, _ = run(capsys, "predict", tmp_path / "M.ONNX", paths[0])
    assert status == 0
    assert len(text.splitlines()) == 2


def test_a_closed_file_is_named_once(tmp_path, monkeypatch, texture_folder):
    path = load_folder(texture_folder)[0][0]

    def refuse(name, *_, **__):
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ValueError, match=r"\.png: Permission denied\.$"):
        ImageLoader(16).transform([path])


def test_too_little_memory_is_an_error(capsys, texture_folder, tmp_path):
    model, paths = fit(texture_folder, svm(random_state=0))
    save_model(model.set_params(imageloader__size=10**9), tmp_path / "m.skops")
    status, _, error = run(capsys, "predict", tmp_path / "m.skops", paths[0])
    assert status == 2
    assert error.startswith("imgfeat: error: not enough memory")
