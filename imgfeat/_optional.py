"""Import of optional packages, with an error that names the extra if one is missing."""

import importlib
import importlib.util
from typing import Any


class MissingExtraError(ImportError):
    """A package of an extra is not installed, or does not work."""


def import_optional(name: str, *, extra: str = "deep") -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    name : str
        Name of the module.
    extra : str, default="deep"
        The extra that installs the package.

    Returns
    -------
    module : module

    Raises
    ------
    MissingExtraError
        If the package is not installed or fails to import; the message gives the command that
        installs it.

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
            f"{package} is installed but cannot be imported ({error}). To install matching builds: "
            f"pip install --force-reinstall 'imgfeat[{extra}]'"
        ) from error


def find_missing(*packages: str) -> list[str]:
    """Return the packages that are not installed, without importing any."""
    return [name for name in packages if importlib.util.find_spec(name) is None]
