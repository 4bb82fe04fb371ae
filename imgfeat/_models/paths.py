"""Parameters that name files, folders, databases or downloads: not obeyed from a file."""

import warnings
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from imgfeat._files import ModelFileError, ModelFileWarning
from imgfeat._models.walk import walk


def _is_default_backbone(value: Any) -> bool:
    return isinstance(value, str) and value == "efficientnet_lite0"


def _is_default_weights(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value == "pretrained")


class Rule(NamedTuple):
    """A parameter that names a place.

    Attributes
    ----------
    owner, parameter : str
        Names of the class and of the parameter.
    harmless : callable
        Tells whether a value names none.
    optional : bool
        Whether predictions are the same without it: then it becomes None.
    """

    owner: str
    parameter: str
    harmless: Callable[[Any], bool]
    optional: bool = True

    @property
    def name(self) -> str:
        """What the caller allows it by."""
        return f"{self.owner}.{self.parameter}"


def _is_none(value: Any) -> bool:
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
    """Raise ValueError where a name is not one of a parameter that can be allowed."""
    if isinstance(allow, str) or not set(allow) <= set(ALLOWABLE):
        raise ValueError(
            f"allow={allow!r} must be a sequence of names out of {', '.join(ALLOWABLE)}."
        )


def reset_paths(model: Any, allow: Collection[str], source: str) -> None:
    """Reset parameters of a loaded model that name places, unless the caller allows them.

    Parameters
    ----------
    model : estimator
        Changed in place.
    allow : collection of str
        Names such as "Batched.out".
    source : str
        The file, for messages.

    Warns
    -----
    ModelFileWarning
        If there were some.

    Raises
    ------
    ModelFileError
        If predictions would be others without them.
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
                    f"{source} is refused: it names a place to read from, {rule.name} = {value!r}. "
                    "If you know the file and that place, load it with load_model(path, "
                    f"allow=({rule.name!r},)), or give the command --trust {rule.name}."
                )
            setattr(part, rule.parameter, None)
            left_out[rule.name] = repr(value)
    if left_out:
        places = ", ".join(f"{name} = {value}" for name, value in left_out.items())
        warnings.warn(
            f"{source} names places on disk, which loading leaves out: {places}. If you want them, "
            f"load it with load_model(path, allow={tuple(left_out)!r}).",
            ModelFileWarning,
            stacklevel=4,
        )
