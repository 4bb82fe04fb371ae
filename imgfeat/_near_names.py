"""Suggestions for mistyped names."""

import difflib
from collections.abc import Iterable


def suggest(wrong: str, known: Iterable[str]) -> str:
    """Return a question that suggests names similar to a wrong one, or an empty string.

    Parameters
    ----------
    wrong : str
    known : iterable of str

    Returns
    -------
    question : str
        Ends in a space, so that a sentence can follow.

    Examples
    --------
    >>> from imgfeat._near_names import suggest
    >>> suggest("HOG-smv", ["bagged", "hog_svm", "lbp_svm"])
    'Did you mean hog_svm? '
    >>> suggest("xyz", ["bagged"])
    ''
    """
    by_plain_name: dict[str, list[str]] = {}
    for name in known:
        by_plain_name.setdefault(name.casefold(), []).append(name)
    near = difflib.get_close_matches(wrong.casefold(), by_plain_name, n=3, cutoff=0.6)
    names = [name for plain in near for name in by_plain_name[plain]]
    return f"Did you mean {' or '.join(names)}? " if names else ""
