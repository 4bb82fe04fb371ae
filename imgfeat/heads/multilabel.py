"""Multilabel classification: one copy of a classifier for each label."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from imgfeat._protocols import Classifier
from imgfeat.heads.accuracy import AccuracyMixin
from imgfeat.heads.class_weights import encode_class_weights
from imgfeat.heads.classes import (
    encode_labels,
    is_indicator_matrix,
    make_indicator_classes,
    read_labels,
)
from imgfeat.heads.early_stopping import adapt_early_stopping, adapt_early_stopping_per_label
from imgfeat.heads.stratified_folds import EveryClassKFold


def _inner_has(method: str) -> Any:
    def have(self: "PerLabel") -> bool:
        # All copies are checked: a constant label has a _ConstantPredictor, with every method.
        classifier: Any = getattr(self, "classifier_", self.estimator)
        inner = classifier.estimators_ if _is_one_vs_rest(classifier) else [classifier]
        return all(hasattr(part, method) for part in inner)

    return available_if(have)


def _is_one_vs_rest(classifier: Classifier) -> bool:
    return isinstance(classifier, OneVsRestClassifier) and getattr(classifier, "multilabel_", False)


class PerLabel(AccuracyMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier; if y is an indicator matrix, fit a copy of it for each label.

    Parameters
    ----------
    estimator : classifier
        A classifier for two or more classes, which need not support indicator matrices.
    n_jobs : int, default=None
        Number of copies fitted in parallel.

    Attributes
    ----------
    classifier_ : classifier
        The `estimator`, fitted on encoded labels, or a OneVsRestClassifier with its copies.
    classes_ : ndarray of shape (n_classes,), or (n_labels, 2) for indicator matrices
        The labels; for each column of an indicator matrix, 0 and 1.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.svm import SVC
    >>> from imgfeat.heads.multilabel import PerLabel
    >>> X, y = make_multilabel_classification(n_classes=3, random_state=0)
    >>> PerLabel(SVC()).fit(X, y).predict(X).shape
    (100, 3)
    """

    def __init__(self, estimator: Classifier, n_jobs: int | None = None):
        self.estimator = estimator
        self.n_jobs = n_jobs

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier, or its copies.

        Parameters
        ----------
        X : array-like of shape (n, d)
            What `estimator` takes.
        y : array-like of shape (n,) or (n, n_labels)
            Labels, or an indicator matrix. A label that all images have is predicted for all
            images, and a label that no image has is predicted for none.
        sample_weight : array-like of shape (n,), default=None
            Passed to the classifier; not supported for indicator matrices.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is only one class, a class has fewer images than `estimator` has folds, or
            `sample_weight` is given with an indicator matrix.
        """
        labels = read_labels(y)
        check_consistent_length(X, labels)
        if not is_indicator_matrix(labels):
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            classes, codes = encode_labels(labels, self.estimator)
            n_folds = getattr(self.estimator, "cv", None)
            if isinstance(n_folds, int):
                # Checked here, so that the error names the label and not its code.
                next(EveryClassKFold(n_folds).split(codes, labels))
            self.classifier_ = encode_class_weights(self.estimator, classes)
            adapt_early_stopping(self.classifier_, codes, classes)
            self.classifier_.fit(X, codes, **weights)
            # The classifier may lack a class whose images all have weight 0.
            self.classes_ = classes[self.classifier_.classes_]
        elif sample_weight is not None:
            raise ValueError(
                "sample_weight is not taken together with an indicator matrix: fit one classifier "
                "for each label, or use class_weight."
            )
        else:
            estimator = clone(self.estimator)
            adapt_early_stopping_per_label(estimator, labels)
            classifier = OneVsRestClassifier(estimator, n_jobs=self.n_jobs)
            with warnings.catch_warnings():
                # Labels that are constant in a fold are common, and predicted as constant.
                warnings.filterwarnings("ignore", "Label .* is present in all training examples")
                self.classifier_ = classifier.fit(X, y if issparse(y) else labels)
            self.classes_ = make_indicator_classes(labels.shape[1])
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.classifier_, name):
                setattr(self, name, getattr(self.classifier_, name))
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the labels, of shape (n,) or (n, n_labels)."""
        check_is_fitted(self, "classifier_")
        if not _is_one_vs_rest(self.classifier_):
            codes = self.classifier_.predict(X)
            return self.classes_[np.searchsorted(self.classifier_.classes_, codes)]
        # OneVsRestClassifier.predict compares all labels with the threshold of the first
        # estimator, which is 0.5 if that one is constant.
        columns = [classifier.predict(X) for classifier in self.classifier_.estimators_]
        return self.classifier_.label_binarizer_.inverse_transform(np.column_stack(columns))

    @_inner_has("predict_proba")
    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the probability of each class or label, of shape (n, n_classes or n_labels)."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.predict_proba(X)

    @_inner_has("decision_function")
    def decision_function(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the decision function of each class or label, in the shape of `estimator`."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.decision_function(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
