"""Validation of parameters that name one or several of a few options."""

from collections.abc import Sequence


def list_choices(name: str, value: str | Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the options that a parameter names, as a list.

    Parameters
    ----------
    name : str
        Name of the parameter, for the message.
    value : str or sequence of str
    known : sequence of str
        All options.

    Raises
    ------
    ValueError
        If the list is empty, or an option is unknown or named twice.
    """
    chosen = [value] if isinstance(value, str) else list(value)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(known):
        raise ValueError(
            f"{name} must be one or more of {', '.join(known)}, each once, got {value!r}."
        )
    return chosen
