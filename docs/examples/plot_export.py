"""
Export: one ONNX file, and how fast it runs
===========================================

`to_onnx` writes a fitted pipeline, from pixels to probabilities, as one graph, and compares the
graph with the pipeline before the file is written. `load_onnx` runs the file without scikit-learn.
"""

import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np

from imgfeat.datasets import load_textures
from imgfeat.export import load_onnx, to_onnx
from imgfeat.recipes import load_recipe

train, test = load_textures("train"), load_textures("test")
model = load_recipe("hog_svm").build().fit(train.images, train.target)
with tempfile.TemporaryDirectory() as folder:
    print(to_onnx(model, train.images, f"{folder}/model.onnx"))
    served = load_onnx(f"{folder}/model.onnx")

# %%
# Predictions of both for images that neither has seen:

assert (served.predict(test.images) == model.predict(test.images)).all()
expected, found = model.predict_proba(test.images), served.predict_proba(test.images)
print(f"largest difference in a probability {np.abs(expected - found).max():.1e}")


# %%
# The time from one image to its label:


def measure(estimator):
    """Return the milliseconds of 40 calls with one image each."""
    times = []
    for image in test.images[:40]:
        start = time.perf_counter()
        estimator.predict(image[None])
        times.append(1000 * (time.perf_counter() - start))
    return times


figure, ax = plt.subplots(figsize=(7, 2.6), layout="constrained")
ax.boxplot([measure(model), measure(served)], orientation="horizontal", showfliers=False)
ax.set_yticks([1, 2], ["pipeline", "ONNX file"])
ax.set(xlabel="milliseconds an image", xscale="log")
