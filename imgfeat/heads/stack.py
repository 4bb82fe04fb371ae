"""StackingClassifier with support for indicator matrices, class weights and small classes."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import hstack, issparse
from sklearn.ensemble import StackingClassifier
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.metaestimators import available_if

from imgfeat._compat.sklearn_stacking import OpenStackingClassifier
from imgfeat._protocols import Classifier
from imgfeat.heads.accuracy import AccuracyMixin
from imgfeat.heads.class_weights import encode_class_weights
from imgfeat.heads.classes import (
    encode_labels,
    is_indicator_matrix,
    make_indicator_classes,
    read_labels,
)
from imgfeat.heads.stratified_folds import EveryClassKFold


def _final_estimator_has(method: str) -> Any:
    def check(self: "FamilyStack") -> bool:
        return hasattr(getattr(self, "final_estimator_", self.final_estimator), method)

    return check


class FamilyStack(AccuracyMixin, OpenStackingClassifier):
    """StackingClassifier with support for indicator matrices and for class weights by label.

    For indicator matrices, StackingClassifier of scikit-learn 1.9 returns the probabilities that
    labels are absent, since it expects the final estimator to return a list of arrays. It also
    encodes labels before the heads see them, so that class weights by label do not match, and
    errors name codes. This class is built by `imgfeat.heads.stacking`.
    """

    def fit(self, X: ArrayLike, y: ArrayLike, **fit_params: Any) -> Self:
        """Fit the heads, and the final estimator on their out-of-fold outputs.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d)
        y : array-like of shape (n,) or (n, n_labels)
        **fit_params : dict
            Passed to `StackingClassifier.fit`.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is only one class, or a class has fewer images than there are folds.
        """
        labels = read_labels(y)
        multilabel = is_indicator_matrix(labels)
        if not multilabel:
            encode_labels(labels, self)
        if isinstance(self.cv, EveryClassKFold):
            next(self.cv.split(X, labels))  # here, an error names the label and not its code
        if not multilabel:
            return super().fit(X, labels, **fit_params)
        # StackingClassifier would encode each column, where a constant 1 becomes 0.
        self.classes_: Any = make_indicator_classes(labels.shape[1])
        self.set_label_encoder([LabelEncoder().fit(classes) for classes in self.classes_])
        self._first_image = labels[0].astype(int)
        return super(StackingClassifier, self).fit(X, labels.astype(int), **fit_params)

    def prepare_estimators(self, estimators: list[Any]) -> list[Any]:
        """Return the heads with class weights by code."""
        if self.cv == "prefit":
            return estimators
        return [head if head == "drop" else self._encode_class_weights(head) for head in estimators]

    def prepare_final_estimator(self, estimator: Classifier) -> Any:
        """Return the final estimator with class weights by code."""
        return self._encode_class_weights(estimator)

    def join_predictions(self, X: Any, predictions: Sequence[Any]) -> Any:
        """Return the features of the final estimator, with a column for each label."""
        if np.ndim(self.classes_) == 1:
            return super().join_predictions(X, predictions)
        # scikit-learn mistakes two labels for two classes, and drops the first column.
        columns = [self._join_labels(outputs) for outputs in predictions]
        self.set_output_widths([part.shape[1] for part in columns])
        if self.passthrough:
            columns.append(X)
        return hstack(columns, format=X.format) if issparse(columns[-1]) else np.hstack(columns)

    def _join_labels(self, outputs: Any) -> NDArray[np.floating]:
        """Return one column for each label, also if a head returns a list of arrays."""
        if not isinstance(outputs, list):
            return outputs
        # A constant label has a single column; its probability is 0 or 1.
        columns = [
            proba[:, 1] if proba.shape[1] == 2 else np.full(len(proba), float(first))
            for proba, first in zip(outputs, self._first_image, strict=True)
        ]
        return np.column_stack(columns)

    def _encode_class_weights(self, estimator: Classifier) -> Any:
        labelled = np.ndim(self.classes_) == 1
        return encode_class_weights(estimator, self.classes_) if labelled else estimator

    @available_if(_final_estimator_has("predict_proba"))
    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return probabilities.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n, d)

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes), or (n, n_labels) where y was an indicator
            matrix
        """
        if not self.has_label_columns():
            return super().predict_proba(X)
        return self.final_estimator_.predict_proba(self.transform(X))
