"""
Fusion: shape and texture together
==================================

Coarse HOG features (shape) and LBP histograms (texture), alone and together, on handwritten digits.
`svm(weights="align")` sums one kernel for each group of features; `stacking` fits one head for each
group, and a final estimator.
"""

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split
from sklearn.pipeline import FeatureUnion, make_pipeline

from imgfeat import HOG, LBP, ImageLoader
from imgfeat.datasets import load_digits
from imgfeat.heads import stacking, svm

digits = load_digits()
train, test, y_train, y_test = train_test_split(
    digits.images, digits.target, train_size=300, stratify=digits.target, random_state=0
)
load = ImageLoader(32, color="gray")
groups = [("hog", HOG(pixels_per_cell=16)), ("lbp", LBP(grid=4))]
union = FeatureUnion(groups).set_output(transform="pandas")
models = {
    "HOG": make_pipeline(load, HOG(pixels_per_cell=16), svm()),
    "LBP": make_pipeline(load, LBP(grid=4), svm()),
    "concatenated": make_pipeline(load, FeatureUnion(groups), svm()),
    "summed kernels": make_pipeline(load, union, svm(weights="align")),
    "stacked": make_pipeline(load, union, stacking(["hog", "lbp"], random_state=0)),
}
scores = {name: model.fit(train, y_train).score(test, y_test) for name, model in models.items()}

# %%
# Accuracy on the 1,497 other digits.

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
bars = ax.barh(list(scores), scores.values(), color=["0.7", "0.7", "C0", "C0", "C0"])
ax.bar_label(bars, fmt="%.3f", padding=3)
ax.set(xlim=(0.8, 1), xlabel="accuracy")
ax.invert_yaxis()
