"""Parameters that are a size: one number for both sides, or a pair."""

from numbers import Integral
from typing import Any


def read_size(name: str, value: Any, sides: str = "(height, width)") -> tuple[int, int]:
    """Return the two sides of a size.

    Parameters
    ----------
    name : str
        The parameter, for errors.
    value : int or (int, int)
    sides : str, default="(height, width)"
        What the two numbers are, for errors.

    Returns
    -------
    size : (int, int)

    Raises
    ------
    ValueError
        If it is neither a positive whole number nor a pair of them.

    Examples
    --------
    >>> from imgfeat.images.sizes import read_size
    >>> read_size("size", 64), read_size("size", (32, 48))
    ((64, 64), (32, 48))
    """
    pair = (value, value) if isinstance(value, Integral) else tuple(value)
    if len(pair) != 2 or not all(isinstance(v, Integral) and int(v) >= 1 for v in pair):
        raise ValueError(
            f"{name} must be a positive whole number or a pair {sides} of them, got {value!r}."
        )
    return int(pair[0]), int(pair[1])
