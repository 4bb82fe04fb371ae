"""Parameters that name one thing or several, out of a few."""

from collections.abc import Sequence


def list_choices(name: str, value: str | Sequence[str], known: Sequence[str]) -> list[str]:
    """Return what a parameter asks for.

    Parameters
    ----------
    name : str
        Of the parameter, for the message.
    value : str or sequence of str
    known : sequence of str
        What there is to choose from.

    Raises
    ------
    ValueError
        If nothing is asked for, a thing twice, or one that there is not.
    """
    chosen = [value] if isinstance(value, str) else list(value)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise ValueError(
            f"{name} must be one or more of {', '.join(known)}, each once, got {value!r}."
        )
    return chosen
