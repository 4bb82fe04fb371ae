"""Parameters of a loaded model that name files, folders, databases or downloads are reset."""

import warnings
from collections.abc import Callable, Collection
from typing import NamedTuple

from imgfeat._files import ModelFileError, ModelFileWarning
from imgfeat._models.walk import walk


def _is_default_backbone(value: object) -> bool:
    return isinstance(value, str) and value == "efficientnet_lite0"


def _is_default_weights(value: object) -> bool:
    return value is None or (isinstance(value, str) and value == "pretrained")


class Rule(NamedTuple):
    """A parameter that may name a file, folder, database or download.

    Attributes
    ----------
    owner, parameter : str
        Names of the class and of the parameter.
    harmless : callable
        Returns whether a value does not name any of these.
    optional : bool
        Whether predictions do not depend on it, so that it can be reset to None.
    """

    owner: str
    parameter: str
    harmless: Callable[[object], bool]
    optional: bool = True

    @property
    def name(self) -> str:
        """The name in the parameter `allow` of `load_model`."""
        return f"{self.owner}.{self.parameter}"


def _is_none(value: object) -> bool:
    return value is None


RULES = (
    Rule("Batched", "memory", _is_none),
    Rule("Batched", "out", _is_none),
    Rule("CNNEmbedding", "backbone", _is_default_backbone, optional=False),
    Rule("CNNEmbedding", "weights", _is_default_weights, optional=False),
    Rule("CNNEmbedding", "cache_dir", _is_none),
    Rule("OptunaSearchCV", "memory", _is_none),
    Rule("OptunaSearchCV", "storage", _is_none),
    Rule("Pipeline", "memory", _is_none),
    Rule("AgglomerativeClustering", "memory", _is_none),
    Rule("HDBSCAN", "memory", _is_none),
    Rule("OPTICS", "memory", _is_none),
)


ALLOWABLE = tuple(rule.name for rule in RULES)


def check_allowed(allow: Collection[str]) -> None:
    """Raise ValueError if `allow` has a name that is not in `ALLOWABLE`."""
    if isinstance(allow, str) or not set(allow) <= set(ALLOWABLE):
        raise ValueError(
            f"allow={allow!r} must be a sequence of names out of {', '.join(ALLOWABLE)}."
        )


def reset_paths(model: object, allow: Collection[str], source: str) -> None:
    """Reset parameters of a loaded model that name files and the like, unless allowed.

    Parameters
    ----------
    model : estimator
        Changed in place.
    allow : collection of str
        Names such as "Batched.out".
    source : str
        Name of the model file, for messages.

    Warns
    -----
    ModelFileWarning
        If parameters were reset.

    Raises
    ------
    ModelFileError
        If predictions depend on such a parameter.
    """
    left_out: dict[str, str] = {}
    for part in walk(model):
        names = {base.__name__ for base in type(part).__mro__}
        for rule in RULES:
            if rule.owner not in names or rule.name in allow:
                continue
            value = vars(part).get(rule.parameter)
            if rule.parameter not in vars(part) or rule.harmless(value):
                continue
            if not rule.optional:
                raise ModelFileError(
                    f"{source} is refused: it names a file or download to read, {rule.name} = "
                    f"{value!r}. If you trust both, load the model with load_model(path, "
                    f"allow=({rule.name!r},)), or give the command --trust {rule.name}."
                )
            setattr(part, rule.parameter, None)
            left_out[rule.name] = repr(value)
    if left_out:
        places = ", ".join(f"{name} = {value}" for name, value in left_out.items())
        warnings.warn(
            f"{source} has parameters that name files, folders or databases, which are reset to "
            f"None: {places}. To keep them, use load_model(path, allow={tuple(left_out)!r}).",
            ModelFileWarning,
            stacklevel=4,
        )
