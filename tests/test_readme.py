"""What the README says is so."""

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


def test_the_table_is_what_was_measured(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import update_readme

    assert update_readme.render(ROOT / "benchmarks" / "results") in README


def test_the_results_name_their_machine():
    for name in ("benchmark.json", "features.json"):
        content = json.loads((ROOT / "benchmarks" / "results" / name).read_text())
        assert content["environment"]["machine"]["processor"]
