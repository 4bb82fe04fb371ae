"""The former name of `imgfeat.heads`."""

from imgfeat.heads.factory import bagging, boosting, stacking, svm, voting

__all__ = ["bagging", "boosting", "stacking", "svm", "voting"]
