"""Several labels an image: one copy of a classifier for each."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from imgfeat.heads.class_weights import key_by_code
from imgfeat.heads.classes import (
    is_indicator_matrix,
    make_indicator_classes,
    number_classes,
    read_labels,
)
from imgfeat.heads.early_stopping import adapt_early_stopping, adapt_early_stopping_per_label
from imgfeat.heads.stratified_folds import EveryClassKFold


def _inner_has(method: str) -> Any:
    def have(self: "PerLabel") -> bool:
        # Of the copies each, for the stand-in of a constant label has all methods.
        classifier = getattr(self, "classifier_", self.estimator)
        inner = classifier.estimators_ if _is_split(classifier) else [classifier]
        return all(hasattr(part, method) for part in inner)

    return available_if(have)


def _is_split(classifier: Any) -> bool:
    return isinstance(classifier, OneVsRestClassifier) and getattr(classifier, "multilabel_", False)


class PerLabel(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Fit a classifier as it is, or where y is an indicator matrix, a copy of it for each label.

    Parameters
    ----------
    estimator : classifier
        For two classes or more; not for indicator matrices.
    n_jobs : int, default=None
        Copies fitted at the same time.

    Attributes
    ----------
    classifier_ : classifier
        The fitted `estimator`, which knows labels by their numbers, or a OneVsRestClassifier of
        its copies.
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

    def __init__(self, estimator: Any, n_jobs: int | None = None):
        self.estimator = estimator
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier, or its copies.

        Parameters
        ----------
        X : array-like of shape (n, d)
            What `estimator` takes.
        y : array-like of shape (n,) or (n, n_labels)
            Labels, or an indicator matrix. A label that all images have, or none, is predicted
            for all, or none.
        sample_weight : array-like of shape (n,), default=None
            Passed on; not for indicator matrices.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If there is a single class, a class has fewer images than `estimator` makes folds, or
            there are weights and an indicator matrix.
        """
        labels = read_labels(y)
        check_consistent_length(X, labels)
        if not is_indicator_matrix(labels):
            weights = {} if sample_weight is None else {"sample_weight": sample_weight}
            classes, codes = number_classes(labels, self.estimator)
            if isinstance(getattr(self.estimator, "cv", None), int):
                # Its error names the label, not the code.
                next(EveryClassKFold(self.estimator.cv).split(codes, labels))
            self.classifier_ = key_by_code(self.estimator, classes)
            adapt_early_stopping(self.classifier_, codes, classes)
            self.classifier_.fit(X, codes, **weights)
            # A class whose images all weigh 0 may be unknown to it.
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
                # A constant label is no surprise in a fold; predicting it is all there is to do.
                warnings.filterwarnings("ignore", "Label .* is present in all training examples")
                self.classifier_ = classifier.fit(X, y if issparse(y) else labels)
            self.classes_ = make_indicator_classes(labels.shape[1])
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self.classifier_, name):
                setattr(self, name, getattr(self.classifier_, name))
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the labels, of shape (n,) or (n, n_labels)."""
        check_is_fitted(self, "classifier_")
        if not _is_split(self.classifier_):
            codes = self.classifier_.predict(X)
            return self.classes_[np.searchsorted(self.classifier_.classes_, codes)]
        # OneVsRestClassifier holds all labels against the threshold of the first: half, where that
        # one is constant.
        columns = [classifier.predict(X) for classifier in self.classifier_.estimators_]
        return self.classifier_.label_binarizer_.inverse_transform(np.column_stack(columns))

    @_inner_has("predict_proba")
    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Return the probability of each class or label, of shape (n, n_classes or n_labels)."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.predict_proba(X)

    @_inner_has("decision_function")
    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Return the value of each class or label, as `estimator` does."""
        check_is_fitted(self, "classifier_")
        return self.classifier_.decision_function(X)

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy; of an indicator matrix, the share of images with all labels right.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : array-like of shape (n,) or (n, n_labels)
        sample_weight : array-like of shape (n,), default=None

        Returns
        -------
        accuracy : float
        """
        return super().score(X, y if issparse(y) else read_labels(y, warn=False), sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags
