"""
Tuning: the history of a search
===============================

`OptunaSearchCV` searches parameters of features and head together. HOG is stateless, so that each
setting of it is computed once, whatever the number of trials and folds.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import loguniform
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from imgfeat import HOG, ImageLoader, OptunaSearchCV
from imgfeat.datasets import load_digits

digits = load_digits()
pipeline = make_pipeline(ImageLoader(16, color="gray"), HOG(), StandardScaler(), SVC())
space = {
    "hog__pixels_per_cell": [2, 4, 8],
    "hog__cells_per_block": [1, 2],
    "svc__C": loguniform(0.1, 100),
}
search = OptunaSearchCV(pipeline, space, n_trials=20, cv=3, random_state=4)
search.fit(digits.images[:600], digits.target[:600])
print(search.best_params_)
print(f"accuracy on other digits {search.score(digits.images[600:], digits.target[600:]):.3f}")

# %%
# Each point is a trial; the line is the best score so far.

scores = search.cv_results_["mean_test_score"]
cells = np.array([params["hog__pixels_per_cell"] for params in search.cv_results_["params"]])
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for size in (2, 4, 8):
    chosen = np.flatnonzero(cells == size)
    ax.scatter(chosen, scores[chosen], label=f"cells of {size} pixels")
ax.step(range(len(scores)), np.maximum.accumulate(scores), where="post", color="0.5")
ax.set(xlabel="trial", ylabel="mean accuracy of 3 folds")
ax.legend()
