"""The error of all checks of model files."""


def require(condition: bool, what: str) -> None:
    """Raise a ValueError if a condition is false.

    Parameters
    ----------
    condition : bool
    what : str
        The type or attribute that is invalid, for the error message.
    """
    if not condition:
        raise ValueError(f"its structure is not sound ({what})")
