"""Converter for KernelSVC: kernels to the landmarks, and a product with the coefficients."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from imgfeat.export.converters.base_head import register_head
from imgfeat.export.converters.base_svm import PairwiseHead, add_rbf, expand_pairs, pair_signs
from imgfeat.heads.kernel_methods.one_vs_one import STEEPNESS
from imgfeat.heads.kernel_svm import KernelSVC


class KernelSVCHead(PairwiseHead):
    """One-vs-one SVMs or, if fitted by the solver for large data, one decision function a class."""

    def _add_decision(self) -> str:
        if hasattr(self.estimator, "coefficients_"):
            coefficients = self.floats(self.estimator.coefficients_)
            return self.add(
                "Gemm", self._kernel, coefficients, self.floats(self.estimator.intercept_)
            )
        if self.estimator.votes == "soft" and self._n_classes > 2:
            return self._sum_soft_votes()
        return super()._add_decision()

    def _sum_soft_votes(self) -> str:
        """Sum ``-log(1 + exp(-steep * value))`` over the pairs of each class.

        For the second class of a pair the term is ``-log(1 + exp(steep * value))``, which differs
        from that of the first class by ``steep * value``.
        """
        signs = pair_signs(self._n_classes)
        lost = self.add("Mul", self._pairs, self.floats(-STEEPNESS))
        both = self.add("MatMul", self._softplus(lost), self.floats(-np.abs(signs)))
        second = self.floats(-STEEPNESS * np.maximum(-signs, 0))
        return self.add("Gemm", self._pairs, second, both)

    def _softplus(self, values: str) -> str:
        """Return ``log(1 + exp(values))``."""
        if self.dtype == np.float32:
            return self.add("Softplus", values)
        rest = self.add("Exp", self.add("Neg", self.add("Abs", values)))
        rest = self.add("Log", self.add("Add", rest, self.floats(1)))
        return self.add("Add", self.add("Relu", values), rest)

    def _product(self) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
        model = self.estimator
        if len(model.classes_) == 2:
            return self._kernel, model.dual_coef_.T, model.intercept_
        # KernelSVC's values are for the second class of a pair, libsvm's for the first.
        return self._kernel, -expand_pairs(model.dual_coef_, model.n_support_), -model.intercept_

    @cached_property
    def _kernel(self) -> str:
        """The weighted sum of the feature groups' kernels to the landmarks, (n, m)."""
        model = self.estimator
        everything = model.landmarks_ + model.center_.astype(np.float64)
        parts = []
        for name, weight in model.weights_.items():
            if weight > 0:
                features, landmarks = self.features, everything
                if len(model.families_) > 1:
                    columns = model.families_[name]
                    features, landmarks = self.select(columns), landmarks[:, columns]
                parts.append(add_rbf(self, features, landmarks, model.gamma_[name], weight))
        return self.add_sum(parts)


register_head(KernelSVC, KernelSVCHead)
