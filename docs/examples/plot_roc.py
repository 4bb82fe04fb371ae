"""
ROC curves of two recipes
=========================

Recipes are pipelines, so scikit-learn's displays take them. Here two recipes distinguish faces from
other pictures.
"""

import matplotlib.pyplot as plt
from sklearn.metrics import RocCurveDisplay
from sklearn.model_selection import train_test_split

from imgfeat.datasets import load_faces
from imgfeat.recipes import load_recipe

faces = load_faces()
train, test, y_train, y_test = train_test_split(
    faces.images, faces.target, train_size=40, stratify=faces.target, random_state=0
)

figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
for row, label in enumerate(sorted(set(faces.target))):
    examples = faces.images[faces.target == label][:4]
    for column, image in enumerate(examples):
        place = axes[0].inset_axes((column / 4, 0.5 - row / 2, 0.24, 0.44))
        place.imshow(image, cmap="gray")
        place.set_axis_off()
        place.set_title(label if column == 0 else "", fontsize=9)
axes[0].set_axis_off()
for name in ("hog_svm", "lbp_svm"):
    model = load_recipe(name).build().fit(train, y_train)
    RocCurveDisplay.from_estimator(model, test, y_test, ax=axes[1], name=name)
axes[1].set_title("40 images to train on")
