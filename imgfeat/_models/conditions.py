"""How checks of files fail."""


def require(condition: bool, what: str) -> None:
    """Raise ValueError that names what is wrong, unless a condition holds.

    Parameters
    ----------
    condition : bool
    what : str
        Type and attribute, for the message.
    """
    if not condition:
        raise ValueError(f"its structure is not sound ({what})")
