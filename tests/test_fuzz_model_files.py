import numpy as np
from fuzz import model_files


def test_damaged_and_forged_model_files():
    counts = model_files.fuzz(np.random.default_rng(0), n=60)
    assert counts["damaged: refused"] > 40
    assert counts["forged: refused"] > 10
    assert counts["forged: predicted"] > 10
