"""Private interface of SciPy: validation of sparse matrices."""

from scipy.sparse import coo_array, coo_matrix


def check_coo(matrix: coo_array | coo_matrix) -> None:
    """Raise ValueError where indices of a sparse matrix in COO format are out of range."""
    matrix._check()
