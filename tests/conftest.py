import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

# Without a network, nothing that a test does may try to reach one.
os.environ["HF_HUB_OFFLINE"] = "1"

SIGN_DIGITS = Path(__file__).parents[2] / "shared" / "data" / "sign-digits"


@pytest.fixture(scope="session", autouse=True)
def graph_cache(tmp_path_factory, worker_id):
    """One cache of exported graphs for all workers of this run."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    os.environ["IMGFEAT_CACHE_DIR"] = str(folder / "graphs")
    return folder / "graphs"


@pytest.fixture(scope="session")
def photographs():
    """Six 64 x 64 crops of photographs, RGB."""
    pictures = (data.astronaut(), data.chelsea(), data.coffee())
    return np.stack([p[y : y + 64, 150:214] for p in pictures for y in (60, 180)])


@pytest.fixture(scope="session")
def texture_folder(tmp_path_factory):
    """A folder of class folders: 12 PNG patches each of brick and grass."""
    root = tmp_path_factory.mktemp("textures")
    for name in ("brick", "grass"):
        (root / name).mkdir()
        picture = getattr(data, name)()
        for i in range(12):
            y, x = 64 * (i // 4), 64 * (i % 4)
            Image.fromarray(picture[y : y + 64, x : x + 64]).save(root / name / f"{i:02}.png")
    return root


@pytest.fixture(scope="session")
def sign_digits():
    if not SIGN_DIGITS.is_dir():
        pytest.skip(f"the sign-digits data set is not at {SIGN_DIGITS}")
    return SIGN_DIGITS
