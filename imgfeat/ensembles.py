"""The heads under their former name; see `imgfeat.heads`."""

from imgfeat.heads.factory import bagging, boosting, stacking, svm, voting

__all__ = ["bagging", "boosting", "stacking", "svm", "voting"]
