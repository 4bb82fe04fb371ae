"""An exported file in a fresh environment: numpy, Pillow, OpenCV and onnxruntime, no more."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from imgfeat import HOG, ImageLoader
from imgfeat.datasets import load_textures
from imgfeat.export import to_onnx

ROOT = Path(__file__).parents[1]
NEEDED = ("numpy", "pillow", "opencv-python-headless", "onnxruntime")
PROGRAM = """
import importlib.util, json, pickle, sys
from imgfeat.export import load_onnx

served = load_onnx(sys.argv[1])
answers = {"labels": served.predict(sys.argv[2:]).tolist(),
           "probabilities": served.predict_proba(sys.argv[2:]).tolist(),
           "pickled": pickle.loads(pickle.dumps(served)).predict(sys.argv[2:]).tolist(),
           "classes": served.classes_.tolist(),
           "there": [name for name in ("sklearn", "scipy", "torch", "onnx", "numba", "joblib")
                     if importlib.util.find_spec(name)]}
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def fresh_python(tmp_path_factory):
    """A new environment with imgfeat and what its extra "runtime" stands for, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    python = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    installed = subprocess.run(
        [*pip, "-c", ROOT / "constraints.txt", *NEEDED], capture_output=True, text=True
    )
    if installed.returncode != 0:
        pytest.skip(f"no packages to be had here: {installed.stderr.splitlines()[-1:]}")
    subprocess.run([*pip, "--no-deps", ROOT], check=True)
    return python


def test_it_predicts_without_scikit_learn_or_torch(fresh_python, tmp_path):
    train = load_textures("train")
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), LogisticRegression(max_iter=300))
    model.fit(train.images, train.target)
    to_onnx(model, train.images[:8], tmp_path / "model.onnx")
    paths = []
    for name in ("brick", "grass", "coffee"):
        paths.append(str(tmp_path / f"{name}.png"))
        Image.fromarray(getattr(data, name)()).save(paths[-1])
    command = [fresh_python, "-c", PROGRAM, tmp_path / "model.onnx", *paths]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout)
    assert answers["there"] == []
    assert answers["labels"] == answers["pickled"] == model.predict(paths).tolist()
    assert answers["classes"] == ["brick", "grass", "gravel"]
    expected = model.predict_proba(paths)
    np.testing.assert_allclose(answers["probabilities"], expected, atol=1e-5)
