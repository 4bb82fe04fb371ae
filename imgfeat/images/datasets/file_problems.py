"""Image files that cannot be read, or look damaged."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from imgfeat.images.decoding import ImageReadError, find_damage, read_image


class FileProblem(NamedTuple):
    """A problem with an image file.

    Attributes
    ----------
    cause : str
        A sentence that names the file and the problem.
    readable : bool
        Whether the file can be read despite the problem, and may be intact.
    """

    cause: str
    readable: bool


def find_problems(paths: Sequence[str]) -> Iterator[FileProblem | None]:
    """Decode image files in several threads and report the problem with each, if any.

    Parameters
    ----------
    paths : sequence of str

    Yields
    ------
    problem : FileProblem or None
        None if no problem was found.

    Examples
    --------
    >>> from imgfeat.datasets import find_problems
    >>> list(find_problems(["absent.png"]))
    [FileProblem(cause='Cannot read image absent.png: no such file.', readable=False)]
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(_find_problem, paths)


def _find_problem(path: str) -> FileProblem | None:
    damage = find_damage(path)
    if damage is None:
        return None
    try:
        read_image(path)
    except ImageReadError as error:
        return FileProblem(str(error), readable=False)
    return FileProblem(f"{path}: {damage}", readable=True)
