"""The former name of `imgfeat.heads`."""

from imgfeat.heads import bagging, boosting, stacking, svm, voting

__all__ = ["bagging", "boosting", "stacking", "svm", "voting"]
