"""Packages that only some features need: imported when used, one clear line when missing."""

import importlib
import importlib.util
from typing import Any


class MissingExtraError(ImportError):
    """A package of an extra is not installed, or does not work."""


def import_optional(name: str, *, extra: str = "deep") -> Any:
    """Import a module that the core of imgfeat does without.

    Parameters
    ----------
    name : str
        Of the module.
    extra : str, default="deep"
        The extra that brings it.

    Returns
    -------
    module : module

    Raises
    ------
    MissingExtraError
        If it is not installed, or fails to import; the message has the command that mends it.

    Examples
    --------
    >>> from imgfeat._optional import import_optional
    >>> import_optional("a_package_that_nobody_has")
    Traceback (most recent call last):
    imgfeat._optional.MissingExtraError: a_package_that_nobody_has is not installed. It comes with:
    pip install 'imgfeat[deep]'
    """
    package = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtraError(
            f"{package} is not installed. It comes with: pip install 'imgfeat[{extra}]'"
        ) from error
    except RuntimeError as error:  # torchvision against another build of torch
        raise MissingExtraError(
            f"{package} is installed but does not import ({error}). Builds that fit together: "
            f"pip install --force-reinstall 'imgfeat[{extra}]'"
        ) from error


def find_missing(*packages: str) -> list[str]:
    """Return those of the packages that are not installed, without importing any."""
    return [name for name in packages if importlib.util.find_spec(name) is None]
