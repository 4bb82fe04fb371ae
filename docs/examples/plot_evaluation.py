"""
Evaluation: intervals and a report
==================================

`evaluate` computes metrics with confidence intervals, `write_report` a page with pictures. Here the
report is written as Markdown, whose pictures are files of their own.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split

from imgfeat.datasets import load_digits
from imgfeat.evaluation import evaluate, write_report
from imgfeat.recipes import load_recipe

digits = load_digits()
train, test, y_train, y_test = train_test_split(
    digits.images, digits.target, train_size=500, stratify=digits.target, random_state=0
)
model = load_recipe("lbp_svm").build().fit(train, y_train)
evaluation = evaluate(model, test, y_test)
print(evaluation)

# %%
# The confusion matrix of the report, and the metrics of each class with intervals:

folder = tempfile.TemporaryDirectory()
write_report(evaluation, f"{folder.name}/report.md")
pictures = {path.stem: plt.imread(path) for path in Path(folder.name).glob("*/*.png")}
folder.cleanup()
figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for ax, name in zip(axes, ("confusion-matrix", "precision-recall-and-f1"), strict=True):
    ax.imshow(pictures[name])
    ax.set_axis_off()

# %%
# Its worst mistakes: wrong predictions of high confidence.

mistakes = sorted(name for name in pictures if name.startswith("mistake"))[:8]
figure, axes = plt.subplots(1, 8, figsize=(10, 1.5), layout="constrained")
for ax, name in zip(axes, mistakes, strict=True):
    ax.imshow(pictures[name], cmap="gray")
    ax.set_axis_off()
