"""Converters for calibrated classifiers: sigmoid, isotonic and temperature calibration."""

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.isotonic import IsotonicRegression

from imgfeat.export.converters.base_head import Head, register_head
from imgfeat.heads.calibration import TemperatureScaledClassifier

# scikit-learn adds this to probabilities before it takes their logarithm.
TINY = 1e-12


class CalibratedHead(Head):
    """The mean of the probabilities of one or several calibrated classifiers."""

    def _add_probabilities(self) -> str:
        parts = [self._calibrate(part) for part in self.estimator.calibrated_classifiers_]
        if len(parts) == 1:
            return parts[0]
        return self.add("Div", self.add_sum(parts), self.floats(len(parts)))

    def _calibrate(self, part: Any) -> str:
        head = self.inner(part.estimator)
        n_classes = len(part.classes)
        own = np.searchsorted(part.classes, part.estimator.classes_)
        decides = hasattr(part.estimator, "decision_function")
        values = head.decision if decides else head.probabilities
        if part.method == "temperature":
            return self._apply_temperature(
                values, decides, n_classes, float(part.calibrators[0].beta_)
            )
        if n_classes == 2:
            if not decides:
                values = self.nodes.slice(values, 1, 1, 2)
            return self.pair(self._map(values, part))
        probabilities = self._map(values, part)
        if len(own) < n_classes:  # this classifier's training fold lacks a class
            spread = np.eye(n_classes)[own]
            probabilities = self.add("MatMul", probabilities, self.floats(spread))
        # A row of zeros becomes equal probabilities.
        return self.normalize(probabilities, np.full(n_classes, 1 / n_classes))

    def _apply_temperature(self, values: str, decides: bool, n_classes: int, beta: float) -> str:
        if not decides:
            values = self.add("Log", self.add("Add", values, self.floats(TINY)))
        elif n_classes == 2:
            return self.add(
                "Softmax", self.add("MatMul", values, self.floats([[-beta, beta]])), axis=1
            )
        return self.add("Softmax", self.add("Mul", values, self.floats(beta)), axis=1)

    def _map(self, values: str, part: Any) -> str:
        """Calibrate each column separately."""
        if part.method == "sigmoid":
            slopes = self.floats([-c.a_ for c in part.calibrators])
            offsets = self.floats([-c.b_ for c in part.calibrators])
            return self.add("Sigmoid", self.add("Add", self.add("Mul", values, slopes), offsets))
        return self._interpolate(values, part.calibrators)

    def _interpolate(self, values: str, calibrators: list[IsotonicRegression]) -> str:
        """Interpolate linearly between the points of each column's isotonic regression."""
        counts = [len(c.X_thresholds_) for c in calibrators]
        widest = max(counts)
        # Values beyond the first or last point get the probability of that point.
        points = np.full((len(calibrators), widest), np.inf)
        starts, levels, slopes = np.zeros((3, len(calibrators), widest + 1))
        for row, (count, calibrator) in enumerate(zip(counts, calibrators, strict=True)):
            x = calibrator.X_thresholds_.astype(np.float64)
            y = calibrator.y_thresholds_.astype(np.float64)
            points[row, :count] = x
            starts[row, 1 : count + 1], levels[row, 1 : count + 1] = x, y
            levels[row, 0] = y[0]
            slopes[row, 1:count] = np.diff(y) / np.diff(x)
        column = self.nodes.reshape(values, -1, len(calibrators), 1)
        passed = self.add("GreaterOrEqual", column, self.floats(points))
        axes = self.nodes.constant([2], np.int64)
        place = self.add("ReduceSum", self.nodes.cast(passed, np.int32), axes, keepdims=0)
        offsets = np.arange(len(calibrators)) * (widest + 1)
        index = self.add("Add", place, self.nodes.constant(offsets, np.int32))
        start, level, slope = (
            self.add("Gather", self.floats(table.ravel()), index)
            for table in (starts, levels, slopes)
        )
        risen = self.add("Mul", slope, self.add("Sub", values, start))
        return self.add("Add", level, risen)


class TemperatureHead(CalibratedHead):
    """A softmax of the scaled decision function of the inner classifier."""

    def _add_probabilities(self) -> str:
        model = self.estimator
        decision = self.inner(model.estimator_).decision
        return self._apply_temperature(decision, True, len(model.classes_), model.beta_)


register_head(CalibratedClassifierCV, CalibratedHead)
register_head(TemperatureScaledClassifier, TemperatureHead)
