"""The grid of cells that features are pooled over."""


def check_grid(what: str, grid: int, height: int, width: int, unit: str = "pixels") -> None:
    """Raise ValueError where a grid has more cells a side than there are pixels.

    Parameters
    ----------
    what : str
        Name of the transformer, for the message.
    grid : int
        Cells a side.
    height, width : int
        What is cut into cells.
    unit : str, default="pixels"
        What `height` and `width` count, for the message.
    """
    if min(height, width) < grid:
        raise ValueError(
            f"{what} with grid={grid} needs images of at least {grid} x {grid} {unit}, got "
            f"{height} x {width}. Enlarge the images or take a coarser grid."
        )


def name_cells(grid: int) -> list[str]:
    """Return the names of the cells, row by row: ["y0_x0", "y0_x1", ...]."""
    return [f"y{y}_x{x}" for y in range(grid) for x in range(grid)]
