"""The grid of cells that features are pooled over."""


def check_grid(what: str, grid: int, height: int, width: int, unit: str = "pixels") -> None:
    """Raise ValueError if a grid has more cells along a side than there are pixels.

    Parameters
    ----------
    what : str
        Name of the transformer, for the message.
    grid : int
        Number of cells along each side.
    height, width : int
        Size of the image or lattice that is divided into cells.
    unit : str, default="pixels"
        Unit of `height` and `width`, for the message.
    """
    if min(height, width) < grid:
        raise ValueError(
            f"{what} with grid={grid} needs images of at least {grid} x {grid} {unit}, got "
            f"{height} x {width}. Enlarge the images or use a coarser grid."
        )


def name_cells(grid: int) -> list[str]:
    """Return the names of the cells, row by row: ["y0_x0", "y0_x1", ...]."""
    return [f"y{y}_x{x}" for y in range(grid) for x in range(grid)]
