"""What imgfeat uses of SciPy that SciPy keeps private."""

from typing import Any


def check_coo(matrix: Any) -> None:
    """Raise ValueError where indices of a sparse matrix in COO format are out of range."""
    matrix._check()
