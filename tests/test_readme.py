"""What the README says is so."""

import json
import re
from pathlib import Path

from imgfeat.datasets import load_folder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", README, flags=re.DOTALL | re.MULTILINE))


def run_example(section):
    """Run the Python of a section; return its names."""
    (example,) = re.findall(r"```python\n(.*?)```", SECTIONS[section], flags=re.DOTALL)
    names = {}
    exec(compile(example, f"README.md, {section}", "exec"), names)
    return names


def test_the_python_example_runs(capsys):
    run_example("In Python")
    accuracy = float(capsys.readouterr().out.split()[1])
    assert accuracy > 0.9


def test_the_example_of_networks_runs(texture_folder):
    names = run_example("Features from networks")
    paths, labels = load_folder(texture_folder)
    assert names["model"].fit(paths, labels).score(paths, labels) == 1


def test_the_example_of_fusion_runs(capsys):
    run_example("Heads and fusion")
    assert float(capsys.readouterr().out.split()[1]) > 0.9


def test_the_example_of_tuning_runs(capsys):
    search = run_example("Tuning")["search"]
    assert float(capsys.readouterr().out.split()[1]) > 0.9
    assert {"complete", "pruned"} >= set(search.cv_results_["state"])
    assert len(search.cv_results_["params"]) == 20


def test_the_example_of_several_labels_runs(capsys):
    evaluation = run_example("Several labels an image")["evaluation"]
    assert float(capsys.readouterr().out.split()[2]) > 0.75
    assert evaluation.kind == "multilabel"
    assert evaluation.classes == list("0123456789")


def test_the_example_of_verdicts_runs(capsys):
    run_example("Verdicts")
    out = capsys.readouterr().out
    assert "lbp_svm" in out
    assert "balanced accuracy" in out.replace("_", " ")


def test_the_example_of_export_runs(capsys):
    names = run_example("One ONNX file")
    assert " 0 different" in capsys.readouterr().out
    expected = names["model"].predict(names["test"].images)
    assert (names["served"].predict(names["test"].images) == expected).all()


def test_every_example_is_run():
    tested = re.findall(r'run_example\("(.*?)"\)', Path(__file__).read_text())
    with_python = [name for name, text in SECTIONS.items() if "```python" in text]
    assert sorted(tested) == sorted(with_python)


def test_the_table_is_what_was_measured(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import update_readme

    assert update_readme.render(ROOT / "benchmarks" / "results") in README


def test_the_results_name_their_machine():
    for name in (
        "benchmark.json",
        "features.json",
        "embedding.json",
        "layers.json",
        "fashion.json",
        "fusion.json",
        "svm.json",
        "recipes_fashion-mnist.json",
        "tuning.json",
        "streaming.json",
    ):
        content = json.loads((ROOT / "benchmarks" / "results" / name).read_text())
        assert content["environment"]["machine"]["processor"]
