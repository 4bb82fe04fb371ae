"""Families: groups of features whose names share the prefix before the first double underscore."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from imgfeat._protocols import Estimator

SEPARATOR = "__"


class FamilyColumns(TransformerMixin, BaseEstimator):
    """Select the columns of one feature group (family).

    Parameters
    ----------
    family : str
        Prefix of the columns' names before the first ``__``, which is the name of a transformer in
        a FeatureUnion.

    Attributes
    ----------
    columns_ : ndarray of shape (d,), dtype intp
        Positions of the columns.

    See Also
    --------
    imgfeat.heads.stacking : Fits a head for each family.

    Examples
    --------
    >>> import pandas as pd
    >>> from imgfeat.heads.families import FamilyColumns
    >>> features = pd.DataFrame({"hog__o0": [1.0], "lbp__0": [2.0], "hog__o20": [3.0]})
    >>> FamilyColumns("hog").fit_transform(features)
    array([[1., 3.]])
    """

    def __init__(self, family: str):
        self.family = family

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find the family's columns.

        Parameters
        ----------
        X : DataFrame of shape (n, d)
            Features with names.
        y : ignored
            Present for API consistency.

        Returns
        -------
        self : object

        Raises
        ------
        ValueError
            If the columns have no names, or no column belongs to the family.
        """
        validate_data(self, X, skip_check_array=True)
        families = find_families(self)
        if self.family not in families:
            known = ", ".join(families) or _explain_none(self)
            raise ValueError(
                f"family={self.family!r} is not among the features' families ({known}). Families "
                "are the names in FeatureUnion([...]).set_output(transform='pandas')."
            )
        self.columns_ = families[self.family]
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Return the family's columns.

        Parameters
        ----------
        X : DataFrame or array of shape (n, d)
            With the columns seen in `fit`.

        Returns
        -------
        features : ndarray of shape (n, d of the family)
        """
        check_is_fitted(self, "columns_")
        validate_data(self, X, reset=False, skip_check_array=True)
        # As an array, since check_array looks at each column of a DataFrame.
        return check_array(np.asarray(X)[:, self.columns_], dtype=(np.float32, np.float64))

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[np.object_]:
        """Return the names of the family's columns.

        Parameters
        ----------
        input_features : ignored
            The names seen in `fit` are used.

        Returns
        -------
        names : ndarray of shape (d of the family,), dtype object
        """
        check_is_fitted(self, "columns_")
        return self.feature_names_in_[self.columns_]


def find_families(estimator: Estimator) -> dict[str, NDArray[np.intp]]:
    """Return the column positions of each family, in order of appearance.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    families : dict of str to ndarray of int
        Empty if the estimator was fitted on columns without names, or a name has no ``__``.
    """
    heads = [_name_family(name) for name in getattr(estimator, "feature_names_in_", ())]
    if "" in heads:
        return {}
    labels = np.array(heads)
    return {family: np.flatnonzero(labels == family) for family in dict.fromkeys(heads)}


def _name_family(name: str) -> str:
    family, separator, _ = name.partition(SEPARATOR)
    return family if separator else ""


def _explain_none(estimator: Estimator) -> str:
    for name in getattr(estimator, "feature_names_in_", ()):
        if not _name_family(name):
            return f"none: column {name!r} is not called FAMILY{SEPARATOR}..."
    return "none: the columns have no names"
