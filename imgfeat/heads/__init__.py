"""Heads: classifiers that take features, and the functions that build them."""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.heads.factory import bagging, boosting, stacking, svm, voting
    from imgfeat.heads.kernel_svm import KernelSVC

__all__ = ["KernelSVC", "bagging", "boosting", "stacking", "svm", "voting"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "KernelSVC": ".kernel_svm",
        "bagging": ".factory",
        "boosting": ".factory",
        "stacking": ".factory",
        "svm": ".factory",
        "voting": ".factory",
    },
)
