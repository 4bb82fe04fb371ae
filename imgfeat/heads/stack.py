"""scikit-learn's stacking, mended for indicator matrices."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import StackingClassifier


class FamilyStack(StackingClassifier):
    """StackingClassifier whose `predict_proba` also holds for indicator matrices.

    scikit-learn 1.9 takes the last estimator's output for a list with an array for each label, and
    returns the probabilities that labels are absent. `imgfeat.ensembles.stacking` builds these.
    """

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Return probabilities.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d)

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes), or (n, n_labels) where y was an indicator
            matrix
        """
        if not isinstance(getattr(self, "_label_encoder", None), list):
            return super().predict_proba(X)
        return self.final_estimator_.predict_proba(self.transform(X))
