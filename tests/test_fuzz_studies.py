"""Damaged study databases and journals."""

import json

import numpy as np
import pytest
from fuzz.studies import fuzz, search

from imgfeat.tuning import StorageError


def test_random_damage():
    outcomes = fuzz(np.random.default_rng(0), n=60)
    assert outcomes.total() == 60
    assert outcomes["tune.db refused"] > 0
    assert outcomes["tune.journal refused"] > 0


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"scores":{"score":', '"scores":{"other":'),
        ('"scores":', '"stores":'),
        ('"imgfeat:folds"', '"imgfeat:holds"'),
        ('"values":[0.', '"values":[1.'),
        ('"datetime_complete"', '"datetime"'),
        ('"user_attr":{"imgfeat:place":0}', '"user_attr":{"imgfeat:place":"first"}'),
        ('"digest"', '"digits"'),
        ('"{\\"name\\": \\"Categorical', '"{\\"name\\": \\"Cat'),
        ('"param_value_internal":', '"param_value_internal":"x","other":'),
    ],
)
def test_damaged_fields_of_a_journal(old, new, tmp_path):
    path = tmp_path / "tune.journal"
    search(path, 3)
    change(path, old, new)
    with pytest.raises(StorageError, match=r"tune.journal'.*(Restore it|Choose another)") as caught:
        search(path, 4)
    assert isinstance(caught.value, ValueError)


def test_a_line_that_a_kill_cut_in_two_is_left_out(tmp_path):
    path = tmp_path / "tune.journal"
    search(path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole + json.dumps({"op_code": 4}).encode()[:5])
    assert len(search(path, 4).study_.trials) == 4
    assert path.read_bytes().startswith(whole)
    assert len(search(path, 5).study_.trials) == 5


@pytest.mark.parametrize("name", ["tune.db", "tune.journal"])
@pytest.mark.parametrize("content", [b"", b"text, text", b"text\nx", bytes(1000)])
def test_files_that_are_something_else(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    if content == b"":
        assert len(search(path, 4).study_.trials) == 4
        return
    with pytest.raises(StorageError, match=f"{name}.*(Restore it|name another file)"):
        search(path, 1)
    assert path.read_bytes() == content
