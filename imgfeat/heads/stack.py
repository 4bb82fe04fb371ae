"""scikit-learn's stacking, mended for indicator matrices, class weights and small classes."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import StackingClassifier
from sklearn.model_selection import check_cv
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target

from imgfeat.heads.class_weights import key_by_code
from imgfeat.heads.classes import number_classes


def _last_has(method: str) -> Any:
    def have(self: "FamilyStack") -> bool:
        return hasattr(getattr(self, "final_estimator_", self.final_estimator), method)

    return have


class FamilyStack(StackingClassifier):
    """StackingClassifier for indicator matrices, class weights by label, and clear errors.

    scikit-learn 1.9 takes the last estimator's output for a list with an array for each label, and
    returns the probabilities that labels are absent; and it numbers the labels before the folds
    and the heads see them. `imgfeat.ensembles.stacking` builds these.
    """

    def fit(self, X: Any, y: ArrayLike, **fit_params: Any) -> Self:
        """Fit the heads, and the last estimator on what they say of images they have not seen.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d)
        y : array-like of shape (n,) or (n, n_labels)
        **fit_params : dict
            As StackingClassifier has it.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is a single class, or a class has fewer images than there are folds.
        """
        if type_of_target(y, input_name="y") != "multilabel-indicator":
            number_classes(y, self)
        # Folds that refuse y name its labels here, and numbers later.
        if self.cv != "prefit":
            next(iter(check_cv(self.cv, y, classifier=True).split(X, y)))
        return super().fit(X, y, **fit_params)

    def _validate_estimators(self) -> tuple[list[str], list[Any]]:
        names, heads = super()._validate_estimators()
        return names, [self._key(head) for head in heads]

    def _validate_final_estimator(self) -> None:
        super()._validate_final_estimator()
        self.final_estimator_: Any = self._key(self.final_estimator_)

    def _key(self, estimator: Any) -> Any:
        labelled = not isinstance(self.classes_, list)
        return key_by_code(estimator, self.classes_) if labelled else estimator

    @available_if(_last_has("predict_proba"))
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
