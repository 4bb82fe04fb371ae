"""
Comparison: is the difference significant?
==========================================

`compare` gives all recipes the same folds, and tests the differences between them.
"""

import matplotlib.pyplot as plt

from imgfeat.datasets import load_digits
from imgfeat.evaluation import compare

digits = load_digits()
recipes = ["hog_svm", "lbp_svm", "hog_lbp_fused_svm"]
comparison = compare(recipes, digits.images[:500], digits.target[:500], n_repeats=2)
print(comparison.table())

# %%
# The scores of each fold, and the intervals of the differences to the best recipe.

metric = comparison.scoring[0]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
rows = comparison.rows()
for place, row in enumerate(rows):
    scores = comparison.scores[metric][row.recipe]
    left.plot(scores, [place] * len(scores), "o", alpha=0.5)
    right.plot([row.low, row.high], [place, place], "-", color="0.5")
    right.plot(row.difference, place, "o")
for ax in (left, right):
    ax.set_yticks(range(len(rows)), [row.recipe for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
right.axvline(0, color="0.8", zorder=0)
left.set(xlabel=metric)
right.set(xlabel="difference to the best recipe")
