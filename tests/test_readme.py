"""README.md: its example runs, its table is measured, it is short, and its links lead somewhere."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    accuracy = float(capsys.readouterr().out.split()[1])
    assert accuracy > 0.9


def test_it_is_short():
    assert len(README.splitlines()) <= 200


def test_links_and_pictures_lead_to_files():
    targets = re.findall(r"\]\(([^)#]+)", README)
    assert len(targets) > 10
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_the_table_is_what_was_measured(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import update_readme

    results = ROOT / "benchmarks" / "results"
    summary = update_readme.render_summary(results)
    assert summary in README
    assert len(summary.splitlines()) <= 2 + 10
    assert update_readme.render(results) in (ROOT / "docs" / "performance.md").read_text()


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
        "graphs.json",
        "runtime.json",
        "agreement.json",
    ):
        content = json.loads((ROOT / "benchmarks" / "results" / name).read_text())
        assert content["environment"]["machine"]["processor"]
