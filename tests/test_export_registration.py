"""What imgfeat does to skl2onnx, from which other code of the process exports as well: nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def found():
    """What `plain_exports` prints, in a process where imgfeat comes late."""
    script = Path(__file__).parent / "helpers" / "plain_exports.py"
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_graphs_are_the_same_twice(found):
    assert found["before"] == found["again"]
    assert len(set(found["before"].values())) == len(found["before"])


@pytest.mark.parametrize("stage", ["after to_onnx", "after register_converters"])
def test_skl2onnx_converts_as_before(found, stage):
    assert found[stage] == found["before"]


def test_its_tables_are_not_touched_by_an_export(found):
    assert found["untouched"]


def test_what_it_does_wrongly_is_replaced(found):
    assert found["replaced"] == {"ties": 1, "linear": 1, "hist boosting": 1}
