"""Digits whose upper and lower halves are two families of features."""

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits

FAMILIES = ["top", "bottom"]
X, Y = load_digits(return_X_y=True)
X = pd.DataFrame(X, columns=[f"{'top' if i < 32 else 'bottom'}__{i}" for i in range(64)])
NAMES = np.array([f"digit {9 - k}" for k in Y])
TRAIN, TEST = slice(400), slice(400, 900)
