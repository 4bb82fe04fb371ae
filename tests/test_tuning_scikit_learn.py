"""scikit-learn's own tests of its searches, run on OptunaSearchCV by an adapter."""

import importlib.util
import sys

import pytest
import sklearn.model_selection
from helpers.scikit_learn_searches import GridSearch, RandomizedSearch

pytest.importorskip("sklearn.callback", reason="the tests are those of scikit-learn 1.9")

# As scikit-learn runs them.
pytestmark = pytest.mark.filterwarnings("default")

# By name, and why.
EXCLUDED = {
    "test_array_api_search_cv_classifier": "images and features are NumPy's arrays",
    "test_grid_search_bad_param_grid": "errors in a space are SpaceErrors with words of their own",
    "test_predict_proba_disabled": "an empty space is refused, with the remedy",
    "test_search_cv_using_minimal_compatible_estimator": (
        "names that get_params does not have are refused before any work; this one's set_params "
        "takes any"
    ),
    "test_unsupported_sample_weight_scorer": (
        "the error of a scorer that fails on all folds is raised, not a warning"
    ),
    "test_search_cv_results_none_param": (
        "its scores are all nan (R2 of one sample), which is an error: no trial is the best"
    ),
    "test_custom_run_search": "compares all attributes, and `study_` is one of our own",
    "test_search_cv_verbose_3": "there is progress=True in place of verbose",
}


def load_tests():
    """Load scikit-learn's file anew, with our searches under the names of its own."""
    path = importlib.util.find_spec("sklearn.model_selection.tests.test_search").origin
    spec = importlib.util.spec_from_file_location("scikit_learn_test_search", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.model_selection, "GridSearchCV", GridSearch)
        patch.setattr(sklearn.model_selection, "RandomizedSearchCV", RandomizedSearch)
        spec.loader.exec_module(module)
    return {name: test for name, test in vars(module).items() if name.startswith("test_")}


TESTS = load_tests()
assert TESTS.keys() >= EXCLUDED.keys()
globals().update({name: test for name, test in TESTS.items() if name not in EXCLUDED})
