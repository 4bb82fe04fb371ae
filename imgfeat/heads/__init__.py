"""Heads: classifiers for the last step of a Pipeline, and the functions that build them.

Each function returns a scikit-learn classifier, which takes labels or indicator matrices.
"""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.heads.boosting_bagging import bagging, boosting
    from imgfeat.heads.kernel_svm import KernelSVC
    from imgfeat.heads.stacking_voting import stacking, voting
    from imgfeat.heads.svm_head import svm

__all__ = ["KernelSVC", "bagging", "boosting", "stacking", "svm", "voting"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "KernelSVC": ".kernel_svm",
        "bagging": ".boosting_bagging",
        "boosting": ".boosting_bagging",
        "stacking": ".stacking_voting",
        "svm": ".svm_head",
        "voting": ".stacking_voting",
    },
)
