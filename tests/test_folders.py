"""Folders as people have them: split, linked, full of other files, named in other encodings."""

import json
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from imgfeat import datasets
from imgfeat.cli import main
from imgfeat.datasets import find_split, list_files, load_folder
from imgfeat.images.decoding import read_image

BRICK, GRASS = data.brick(), data.grass()


def put(path, number=0, picture=BRICK):
    """Write a patch of a texture, as PNG whatever the name is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = divmod(number, 8)
    Image.fromarray(picture[64 * y : 64 * y + 64, 64 * x : 64 * x + 64]).save(path, "PNG")


def put_classes(root, n=3, start=0, names=("brick", "grass")):
    for name, picture in zip(names, (BRICK, GRASS), strict=True):
        for i in range(start, start + n):
            put(root / name / f"{i}.png", i, picture)
    return root


def run(capsys, *arguments):
    status = main([str(a) for a in arguments])
    return status, *capsys.readouterr()


@pytest.mark.parametrize(
    ("train", "test"), [("train", "test"), ("Training", "TESTING"), ("train_set", "valid")]
)
def test_a_split_is_no_data_set_of_two_classes(tmp_path, train, test):
    put_classes(tmp_path / train)
    put_classes(tmp_path / test, start=3)
    with pytest.raises(ValueError, match="holds parts of a data set") as error:
        load_folder(tmp_path)
    assert str(tmp_path / train) in str(error.value)
    role = "validation" if test == "valid" else "test"
    assert find_split(tmp_path) == {"train": str(tmp_path / train), role: str(tmp_path / test)}
    assert set(load_folder(tmp_path / train)[1]) == {"brick", "grass"}


def test_every_command_takes_its_part_of_a_split(capsys, tmp_path):
    root, model = tmp_path / "data", tmp_path / "m.skops"
    put_classes(root / "train", 6)
    put_classes(root / "test", 4, start=6)
    put_classes(root / "val", 2, start=10)
    status, _, err = run(capsys, "train", "lbp_svm", root, "--out", model)
    assert (status, f"using {root / 'train'}" in err) == (0, True)
    assert "12 images of 2 classes" in err
    status, out, err = run(capsys, "evaluate", model, root)
    assert (status, "8 images, 2 classes" in out) == (0, True)
    assert f"using {root / 'test'}" in err
    status, out, err = run(
        capsys, "benchmark", root, "--recipes", "lbp_svm", "hog_svm", "--out", tmp_path / "out"
    )
    assert (status, f"training on {root / 'train'}" in err) == (0, True)
    assert f"testing on {root / 'test'}, without cross-validation" in err
    runs = json.loads((tmp_path / "out" / "benchmark.json").read_text())["runs"]
    assert [(r["data"], r["n_train"], r["n_test"]) for r in runs] == [("data", 12, 8)] * 2
    shutil.rmtree(root / "test")
    status, out, err = run(capsys, "evaluate", model, root)
    assert (status, "4 images, 2 classes" in out) == (0, True)
    shutil.rmtree(root / "train")
    put_classes(root / "test", 2)
    status, _, err = run(capsys, "train", "lbp_svm", root, "--out", model)
    assert (status, "no part for train" in err) == (2, True)


def test_a_split_whose_test_images_have_no_classes(capsys, tmp_path):
    put_classes(tmp_path / "train")
    put(tmp_path / "test" / "1.png")
    assert list(find_split(tmp_path)) == ["train"]
    with pytest.raises(ValueError, match=r"such as .*train"):
        load_folder(tmp_path)
    status, _, err = run(capsys, "train", "lbp_svm", tmp_path, "--out", tmp_path / "m.skops")
    assert (status, "using" in err) == (0, True)
    status, _, err = run(capsys, "evaluate", tmp_path / "m.skops", tmp_path)
    assert (status, "no part for test or validation" in err) == (2, True)


def test_classes_that_are_called_like_parts_of_a_split(tmp_path):
    for name in ("train/steam", "train/diesel", "bus/red", "bus/blue"):
        put(tmp_path / "vehicles" / name / "1.png")
    assert sorted(load_folder(tmp_path / "vehicles")[1]) == ["bus", "bus", "train", "train"]
    for name in ("train", "test"):
        put(tmp_path / "flat" / name / "1.png")
    assert load_folder(tmp_path / "flat")[1].tolist() == ["test", "train"]
    for name in ("train/steam", "train/diesel", "test/tube", "test/strip"):
        put(tmp_path / "other" / name / "1.png")
    assert sorted(load_folder(tmp_path / "other")[1]) == ["test", "test", "train", "train"]


def test_classes_that_are_each_split(tmp_path):
    for name in ("train", "test"):
        put(tmp_path / "brick" / name / "1.png")
        put(tmp_path / "grass" / name / "1.png")
    with pytest.warns(UserWarning, match="test and train: images of both are taken together"):
        paths, _ = load_folder(tmp_path)
    assert len(paths) == 4


def test_paths_are_as_the_folder_was_given(tmp_path, monkeypatch):
    put_classes(tmp_path / "data", 1)
    monkeypatch.chdir(tmp_path / "data")
    expected = [os.path.join("brick", "0.png"), os.path.join("grass", "0.png")]
    assert load_folder(".")[0].tolist() == expected
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "data/", Path("data")):
        assert load_folder(folder)[0].tolist() == [os.path.join("data", p) for p in expected]


def test_a_folder_too_high(tmp_path):
    put_classes(tmp_path / "data" / "inner")
    with pytest.raises(ValueError, match=r"Did you mean .*inner\?"):
        load_folder(tmp_path / "data")


def test_images_by_ending_and_by_content(tmp_path):
    endings = [".jfif", ".jpe", ".pnm", ".mpo", ".apng", ".JPG", ".tiff", ".webp", ".png "]
    formats = ["JPEG", "JPEG", "PPM", "MPO", "PNG", "JPEG", "TIFF", "WEBP", "PNG"]
    (tmp_path / "brick").mkdir()
    picture = Image.fromarray(BRICK[:32, :32])
    for ending, kind in zip(endings, formats, strict=True):
        picture.save(tmp_path / "brick" / f"a{ending}", kind)
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        picture.save(tmp_path / "brick" / f"{kind}_without", kind)
    picture.save(tmp_path / "brick" / "photo.jpg?w=64", "JPEG")
    put(tmp_path / "grass" / "1.png")
    paths, _ = load_folder(tmp_path)
    assert len(paths) == len(endings) + 7 + 1 + 1
    for path in paths:
        assert read_image(path).shape[2] == 3


def make_full_folder(root):
    put_classes(root, 5)
    for name in ("brick/notes.txt", "brick/LICENSE", "labels.csv", "brick/x.TXT"):
        (root / name).write_text("BM: nothing to see, GIF neither")
    for name in ("brick/Thumbs.db", "grass/.DS_Store", "brick/._0.png", "desktop.ini"):
        (root / name).write_bytes(b"\0\5\x16\7")
    for name in ("@eaDir/0.png", "__MACOSX/brick/._0.png", ".ipynb_checkpoints/0.png"):
        put(root / name)
        put(root / "brick" / name)
    for name in ("$RECYCLE.BIN", "System Volume Information", "lost+found", ".git"):
        put(root / name / "0.png")
    put(root / "stray.png")
    (root / "brick" / "a.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (root / "brick" / "phone").write_bytes(b"\0\0\0\x18ftypheic")
    return root


EXPECTED = {
    ".txt": 2,
    ".csv": 1,
    "no extension and not an image": 1,
    "hidden or system file": 4 + 3 + 3 + 4,
    "outside the class folders": 1,
    ".heic (a format that imgfeat does not read)": 1,
    "HEIC (a format that imgfeat does not read)": 1,
}


def test_what_is_left_out_is_counted(tmp_path):
    files = list_files(make_full_folder(tmp_path))
    assert files.labels == ["brick"] * 5 + ["grass"] * 5
    assert {reason: len(paths) for reason, paths in files.left_out.items()} == EXPECTED
    with pytest.warns(UserWarning, match=r"1 \.heic \(a format that imgfeat does not read\)"):
        load_folder(tmp_path)
    images = datasets.list_images(tmp_path)
    assert len(images) == 10 + 1
    everything = {str(p) for p in tmp_path.rglob("*") if p.is_file()}
    known = {*files.paths, *(path for paths in files.left_out.values() for path in paths)}
    below = {path for path in everything for folder in known if path.startswith(folder + os.sep)}
    assert everything == (known & everything) | below


def test_every_command_counts_what_it_leaves_out(capsys, tmp_path):
    root, model = make_full_folder(tmp_path / "data"), tmp_path / "m.skops"
    said = "left out 21: 14 hidden or system file, 2 .txt, 1 .csv, 1 .heic (a format"
    assert said in run(capsys, "train", "lbp_svm", root, "--out", model)[2]
    assert said in run(capsys, "evaluate", model, root)[2]
    assert said in run(
        capsys, "benchmark", root, "--recipes", "lbp_svm", "--folds", "2", "--out", tmp_path / "o"
    )[2]  # fmt: skip
    assert said in run(
        capsys, "tune", "lbp_svm", root, "--trials", "1", "--folds", "2", "--out", model
    )[2]  # fmt: skip
    assert said in run(capsys, "check", root)[1]
    status, out, err = run(capsys, "predict", model, root)
    assert (status, len(out.splitlines())) == (0, 1 + 11)
    assert "left out 20: 14 hidden" in err
    status, _, err = run(capsys, "export", model, tmp_path / "m.onnx", "--check", root)
    assert "left out 20: 14 hidden" in err


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_linked_folders_are_followed_once(tmp_path):
    root = tmp_path / "data"
    put_classes(root)
    for i in range(4):
        put(tmp_path / "elsewhere" / f"{i}.png")
    (root / "brick" / "more").symlink_to(tmp_path / "elsewhere")
    (root / "brick" / "again").symlink_to(tmp_path / "elsewhere")
    (root / "brick" / "self").symlink_to(root / "brick")
    (root / "brick" / "up").symlink_to(root)
    (root / "brick" / "top").symlink_to("/")
    (root / "grass" / "brick").symlink_to(root / "brick")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    (root / "loop").mkdir()
    (root / "loop" / "a").symlink_to(root / "loop" / "b")
    (root / "loop" / "b").symlink_to(root / "loop" / "a")
    put(root / "loop" / "1.png")
    put(tmp_path / "linked class" / "1.png")
    (root / "third").symlink_to(tmp_path / "linked class")
    files = list_files(root)
    labels, counts = np.unique(files.labels, return_counts=True)
    assert dict(zip(labels, counts, strict=True)) == {"brick": 7, "grass": 3, "loop": 1, "third": 1}
    assert len({os.path.realpath(path) for path in files.paths}) == len(files.paths)
    assert len(files.left_out["link to a folder already listed"]) == 6
    assert len(datasets.list_images(root)) == 12


def test_one_name_in_two_unicode_forms_is_one_class(capsys, tmp_path):
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    put_classes(tmp_path / "data", names=(composed, "grass"))
    put_classes(tmp_path / "mac", names=(apart, "grass"), start=3)
    put(tmp_path / "data" / apart / "9.png", 9)
    paths, labels = load_folder(tmp_path / "data")
    assert sorted(labels) == [composed] * 4 + ["grass"] * 3
    assert all(Path(path).is_file() for path in paths)
    assert run(capsys, "train", "lbp_svm", tmp_path / "data", "--out", tmp_path / "m.skops")[0] == 0
    status, out, _ = run(capsys, "evaluate", tmp_path / "m.skops", tmp_path / "mac")
    assert (status, "6 images, 2 classes" in out) == (0, True)


@pytest.mark.parametrize(
    "name", [" cat ", "-cat", "two\nlines", "Kätzchen", "猫", "cat;dog", "a.b"]
)
def test_names_of_classes_stay_as_they_are(tmp_path, name):
    put_classes(tmp_path, names=(name, "other"))
    assert set(load_folder(tmp_path)[1]) == {name, "other"}


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="names are Unicode")
def test_names_in_no_encoding(capsys, tmp_path):
    strange = os.fsdecode(b"caf\xe9")
    put_classes(tmp_path / "data", names=(strange, "grass"))
    paths, labels = load_folder(tmp_path / "data")
    assert set(labels) == {"caf\\xe9", "grass"}
    assert all(Path(path).is_file() for path in paths)
    assert run(capsys, "train", "lbp_svm", tmp_path / "data", "--out", tmp_path / "m.skops")[0] == 0
    page = tmp_path / "r.html"
    status, out, _ = run(
        capsys, "evaluate", tmp_path / "m.skops", tmp_path / "data", "--report", page
    )
    assert (status, "caf\\xe9" in out, page.is_file()) == (0, True, True)


def test_verification_may_leave_too_few_classes(tmp_path):
    put_classes(tmp_path, 2)
    for path in (tmp_path / "grass").iterdir():
        path.write_bytes(b"damaged")
    with (
        pytest.warns(UserWarning, match=r"Left out 2 file"),
        pytest.raises(ValueError, match=r"readable images .* got \['brick'\]"),
    ):
        load_folder(tmp_path, verify=True)


def test_check_counts_and_finds_damage(capsys, tmp_path):
    put_classes(tmp_path, 3)
    (tmp_path / "notes.txt").touch()
    status, out, _ = run(capsys, "check", tmp_path)
    lines = [line.split() for line in out.splitlines()]
    assert status == 0
    assert ["brick", "3"] in lines
    assert ["grass", "3"] in lines
    assert "left out 1: 1 .txt" in out
    assert "damaged: 0" in out
    (tmp_path / "grass" / "1.png").write_bytes(b"damaged")
    (tmp_path / "empty").mkdir()
    status, out, _ = run(capsys, "check", tmp_path)
    assert (status, "damaged: 1" in out) == (1, True)
    assert str(tmp_path / "grass" / "1.png") in out
    assert ["empty", "0"] in [line.split() for line in out.splitlines()]


def test_check_of_other_folders(capsys, tmp_path):
    put_classes(tmp_path / "split" / "train")
    put_classes(tmp_path / "split" / "test", 1)
    status, out, _ = run(capsys, "check", tmp_path / "split")
    assert status == 0
    assert f"{tmp_path / 'split' / 'train'}: 6 images" in out
    assert f"{tmp_path / 'split' / 'test'}: 2 images" in out
    status, out, _ = run(capsys, "check", tmp_path / "split" / "train" / "brick")
    assert (status, "brick: 3 images" in out) == (0, True)
    status, _, err = run(capsys, "check", tmp_path / "absent")
    assert (status, "is not a folder" in err) == (2, True)
