"""Random damage to exported pipelines, a fixed amount of it; ``make fuzz`` does more."""

import numpy as np
from fuzz import onnx_files


def test_damaged_files_are_refused_or_give_the_same():
    outcomes = onnx_files.fuzz(np.random.default_rng(13), n=120)
    assert outcomes.total() == 120
    # Damage is told by the hash, most forgeries by what is in them; some are harmless.
    assert outcomes["refused"] > 50
    assert outcomes["same"] + outcomes["forged"] > 2
