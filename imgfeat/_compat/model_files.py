"""Private interfaces for model files: the schema of skops, and the trees of scikit-learn."""

from typing import Any

import skops.io  # noqa: F401  (fills the tables that get_tree looks into)
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import NODE_DTYPE, Tree
from skops.io._audit import get_tree
from skops.io._utils import LoadContext

__all__ = ["NODE_DTYPE", "PREDICTOR_RECORD_DTYPE", "Tree", "TreePredictor", "read_skops_tree"]


def read_skops_tree(schema: dict[str, Any], archive: Any, trusted: list[str]) -> Any:
    """Return skops' tree of the objects in a file, none of which has been created yet.

    Parameters
    ----------
    schema : dict
        From ``schema.json``.
    archive : object with a method ``read(name)``
    trusted : list of str
        Full names of types.

    Returns
    -------
    tree : skops Node
        ``tree.get_unsafe_set()`` returns the types that are not trusted, and
        ``tree.construct()`` creates the object.
    """
    context = LoadContext(src=archive, protocol=schema["protocol"])
    return get_tree(schema, context, trusted=trusted)
