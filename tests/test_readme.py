"""What the README says is so."""

import json
import re
from pathlib import Path

from imgfeat.datasets import load_folder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_example_runs(capsys):
    example = EXAMPLES[0]
    exec(compile(example, "README.md", "exec"), {})
    accuracy = float(capsys.readouterr().out.split()[1])
    assert accuracy > 0.9


def test_the_example_of_networks_runs(texture_folder):
    example = EXAMPLES[1]
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    paths, labels = load_folder(texture_folder)
    assert names["model"].fit(paths, labels).score(paths, labels) == 1


def test_the_example_of_fusion_runs(capsys):
    exec(compile(EXAMPLES[2], "README.md", "exec"), {})
    assert float(capsys.readouterr().out.split()[1]) > 0.9


def test_the_example_of_verdicts_runs(capsys):
    exec(compile(EXAMPLES[3], "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert "lbp_svm" in out
    assert "balanced accuracy" in out.replace("_", " ")
    assert len(EXAMPLES) == 4


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
    ):
        content = json.loads((ROOT / "benchmarks" / "results" / name).read_text())
        assert content["environment"]["machine"]["processor"]
