"""Cutting of tensors into the cells of a grid, as nodes."""

from imgfeat.ops.nodes import Nodes


def cut_side(side: int, grid: int) -> list[tuple[int, int]]:
    """Return the start and the end of each of the `grid` parts of a side."""
    return [(k * side // grid, (k + 1) * side // grid) for k in range(grid)]


def cut_cells(nodes: Nodes, tensor: str, sides: tuple[int, int], grid: int, axis: int) -> list[str]:
    """Cut a tensor into cells, row by row.

    Parameters
    ----------
    nodes : Nodes
    tensor : str
    sides : (int, int)
        Lengths of the tensor along `axis` and the axis after it: height and width.
    grid : int
    axis : int

    Returns
    -------
    cells : list of str
    """
    if grid == 1:
        return [tensor]
    cells = []
    for rows in cut_side(sides[0], grid):
        band = nodes.slice(tensor, axis, *rows)
        cells += [nodes.slice(band, axis + 1, *part) for part in cut_side(sides[1], grid)]
    return cells
