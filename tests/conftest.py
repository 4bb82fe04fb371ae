import os
import shutil
import tempfile
from pathlib import Path

# One worker a core: threads of their own would only wait for each other. Libraries read this when
# they are loaded, so it comes before all imports.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image
from skimage import data

from imgfeat import ImageLoader

# Without a network, nothing that a test does may try to reach one.
os.environ["HF_HUB_OFFLINE"] = "1"

SIGN_DIGITS = Path(__file__).parents[2] / "shared" / "data" / "sign-digits"


def pytest_configure(config):
    """Let all workers of this run, and its doctests, share one cache of exported graphs."""
    if not hasattr(config, "workerinput"):
        os.environ["IMGFEAT_CACHE_DIR"] = tempfile.mkdtemp(prefix="imgfeat-test-graphs-")


def pytest_unconfigure(config):
    """Remove that cache."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop("IMGFEAT_CACHE_DIR"), ignore_errors=True)


@pytest.fixture(scope="session")
def photographs():
    """Six 64 x 64 crops of photographs, RGB."""
    pictures = (data.astronaut(), data.chelsea(), data.coffee())
    return np.stack([p[y : y + 64, 150:214] for p in pictures for y in (60, 180)])


@pytest.fixture
def no_runtimes():
    from imgfeat.backbones import engines as runtime

    runtime.clear_runtimes()
    yield
    runtime.clear_runtimes()


@pytest.fixture(scope="session")
def portraits(photographs):
    return ImageLoader(96).transform(list(photographs))


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
