"""docs/: the Python of every page runs, and links between pages lead somewhere."""

import re
import sys
import types
from pathlib import Path

import pytest
from helpers.keras_files import write_keras_file

from imgfeat.datasets import load_folder

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}

MADE_BY_THE_BUILD = ("api/", "auto_examples/", "../auto_examples/")


def run_example(page):
    """Run the Python of a page, all blocks in turn; return its names."""
    blocks = re.findall(r"```python\n(.*?)```", PAGES[page].read_text(), flags=re.DOTALL)
    # A module, so that classes of the page can be pickled.
    module = sys.modules["page"] = types.ModuleType("page")
    for block in blocks:
        exec(compile(block, page, "exec"), vars(module))
    return vars(module)


def test_getting_started(capsys):
    run_example("getting_started.md")
    assert float(capsys.readouterr().out.split()[1]) > 0.9


def test_loading(capsys):
    run_example("guide/load.md")
    assert capsys.readouterr().out == "['cat', 'person'] (2, 64, 64, 3) uint8\n"


def test_describing():
    names = run_example("guide/describe.md")
    assert names["table"].columns[-1] == "lbp__lbp_y3_x3_other"
    assert names["colors"].shape == (len(names["images"]), 24)


def test_embedding(texture_folder):
    names = run_example("guide/embed.md")
    paths, labels = load_folder(texture_folder)
    assert names["model"].fit(paths, labels).score(paths, labels) == 1


def test_keras_models(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_keras_file(tmp_path / "keras_model.onnx")
    names = run_example("guide/keras.md")
    layers, accuracy = capsys.readouterr().out.splitlines()
    assert layers == "['small/conv1/BiasAdd:0', 'small/re_lu/Relu:0']"
    assert float(accuracy.split()[1]) > 0.7
    assert (tmp_path / "whole.onnx").is_file()
    assert names["ensemble"].score(names["test"].images, names["test"].target) > 0.7


def test_fine_tuning(capsys):
    names = run_example("guide/finetune.md")
    assert float(capsys.readouterr().out.split()[1]) > 0.9
    assert len(names["figure"].axes) > 1


def test_augmentation(capsys):
    run_example("guide/augment.md")
    plain, grown = (float(word.strip(",")) for word in capsys.readouterr().out.split()[1::3])
    assert 0.5 < plain < grown < 1


def test_fusion(capsys):
    run_example("guide/fuse.md")
    assert float(capsys.readouterr().out.split()[1]) > 0.9


def test_tuning(capsys):
    search = run_example("guide/tune.md")["search"]
    assert float(capsys.readouterr().out.split()[1]) > 0.9
    assert {"complete", "pruned"} >= set(search.cv_results_["state"])
    assert len(search.cv_results_["params"]) == 20


def test_several_labels(capsys):
    evaluation = run_example("guide/several_labels.md")["evaluation"]
    assert float(capsys.readouterr().out.split()[2]) > 0.75
    assert evaluation.kind == "multilabel"
    assert evaluation.classes == list("0123456789")


def test_comparing(capsys):
    run_example("guide/compare.md")
    assert "lbp_svm" in capsys.readouterr().out


def test_evaluating(capsys):
    run_example("guide/evaluate.md")
    assert "balanced accuracy" in capsys.readouterr().out.replace("_", " ")


def test_export(capsys):
    names = run_example("guide/export.md")
    assert " 0 disagree" in capsys.readouterr().out
    expected = names["model"].predict(names["test"].images)
    assert (names["served"].predict(names["test"].images) == expected).all()


def test_scaling_out(capsys):
    run_example("guide/scale_out.md")
    assert capsys.readouterr().out.startswith("memmap (")


def test_extending():
    names = run_example("maintainers/extending.md")
    assert names["features"].shape == (2, 4)


def test_every_example_is_run():
    tested = re.findall(r'run_example\("(.*?)"\)', Path(__file__).read_text())
    with_python = [page for page, path in PAGES.items() if "```python" in path.read_text()]
    assert sorted(tested) == sorted(with_python)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)", PAGES[page].read_text()):
        if not target.startswith(("http", *MADE_BY_THE_BUILD)):
            assert (PAGES[page].parent / target).exists(), target
