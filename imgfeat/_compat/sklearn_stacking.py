"""Private interfaces of scikit-learn: steps of stacking, as methods to override."""

from collections.abc import Sequence
from typing import Any

from sklearn.ensemble import StackingClassifier
from sklearn.preprocessing import LabelEncoder

from imgfeat._protocols import Classifier


class OpenStackingClassifier(StackingClassifier):
    """A StackingClassifier whose subclasses replace estimators and join predictions."""

    def prepare_estimators(self, estimators: list[Classifier | str]) -> list[Classifier | str]:
        """Return the estimators to clone and fit, "drop" included."""
        return estimators

    def prepare_final_estimator(self, estimator: Classifier) -> Classifier:
        """Return the final estimator to fit."""
        return estimator

    def join_predictions(self, X: Any, predictions: Sequence[Any]) -> Any:
        """Return the features of the final estimator."""
        return super()._concatenate_predictions(X, predictions)

    def set_label_encoder(self, encoder: LabelEncoder | list[LabelEncoder]) -> None:
        """Set the encoder of the labels, or a list with one for each column of labels."""
        self._label_encoder = encoder

    def has_label_columns(self) -> bool:
        """Return whether the labels that it was fitted on have several columns."""
        return isinstance(getattr(self, "_label_encoder", None), list)

    def set_output_widths(self, widths: list[int]) -> None:
        """Set how many columns each estimator's predictions have, for names of features."""
        self._n_feature_outs = widths

    def _validate_estimators(self) -> tuple[list[str], list[Classifier | str]]:
        names, estimators = super()._validate_estimators()
        return names, self.prepare_estimators(estimators)

    def _validate_final_estimator(self) -> None:
        super()._validate_final_estimator()
        self.final_estimator_: Any = self.prepare_final_estimator(self.final_estimator_)

    def _concatenate_predictions(self, X: Any, predictions: Sequence[Any]) -> Any:
        return self.join_predictions(X, predictions)
