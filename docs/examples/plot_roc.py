"""
ROC curves of three recipes
===========================

Recipes are pipelines, so scikit-learn's displays take them. Here three recipes distinguish the
digit 9 from the others, after training on 200 images.
"""

import matplotlib.pyplot as plt
from sklearn.metrics import RocCurveDisplay

from imgfeat.datasets import load_digits
from imgfeat.recipes import load_recipe

digits = load_digits()
images, is_nine = digits.images, digits.target == "9"

figure, axes = plt.subplots(2, 8, figsize=(8, 2.4), layout="constrained")
for row, chosen in zip(axes, (is_nine, ~is_nine), strict=True):
    for ax, image in zip(row, images[chosen], strict=False):
        ax.imshow(image, cmap="gray")
        ax.set_axis_off()
figure.suptitle("nines above, other digits below")

# %%
# The area under each curve is the probability that a nine gets a higher score than another digit.

figure, ax = plt.subplots(figsize=(5.5, 5), layout="constrained")
for name in ("hog_svm", "hog_lbp_boosting", "lbp_svm"):
    model = load_recipe(name).build().fit(images[:200], is_nine[:200])
    RocCurveDisplay.from_estimator(model, images[200:], is_nine[200:], ax=ax, name=name)
ax.plot([0, 1], [0, 1], color="0.7", lw=0.8, ls="--")
