"""scikit-learn's own tests of StackingClassifier, run on the class that stacking() builds."""

import importlib.util

import pytest
import sklearn.ensemble
from sklearn.ensemble.tests import test_stacking

from imgfeat.heads.stack import FamilyStack

# There, warnings are no errors.
pytestmark = pytest.mark.filterwarnings("ignore")


class StackingClassifier(FamilyStack):
    """Under the name that messages and names of features are compared with."""


def _load():
    """Run the module anew: tests are parametrised with instances, made as it is imported."""
    spec = importlib.util.spec_from_file_location("stacking_of_imgfeat", test_stacking.__file__)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.ensemble, "StackingClassifier", StackingClassifier)
        spec.loader.exec_module(module)
    assert module.StackingClassifier is StackingClassifier
    return module


globals().update(
    {
        name: value
        for name, value in vars(_load()).items()
        if name.startswith("test_") and "regressor" not in name.replace("base_regressor", "")
    }
)
