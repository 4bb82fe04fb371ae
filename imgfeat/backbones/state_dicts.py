"""Weights that people bring: state dicts from untrusted files, in the forms that trainers write."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgfeat._optional import import_optional
from imgfeat.backbones.errors import BackboneError

# Keys under which trainers keep the state dict in a checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model")
MAX_NAMED = 5


def load_weights(module: Any, path: str | os.PathLike[str]) -> None:
    """Load a state dict into a network, without running code in its file.

    A dict around it, ``{"state_dict": ...}``, ``{"model_state_dict": ...}`` or ``{"model": ...}``,
    and a prefix of all names, such as ``module.``, are removed. Weights of the classifier that have
    another shape, or are missing, and weights that the network does not have, are left out.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; not changed if there is an error.
    path : path-like
        A .safetensors file, or one written by ``torch.save``.

    Raises
    ------
    BackboneError
        If the file is missing or damaged, or has not all weights of the network except for its
        classifier.

    Warns
    -----
    UserWarning
        If weights are left out.
    """
    path = Path(path)
    expected = module.state_dict()
    state = remove_prefix(unwrap(read_state(path)), expected)
    fitting = {
        name: value
        for name, value in state.items()
        if name in expected and _find_shape(value) == expected[name].shape
    }
    classifier = find_classifier_names(module)
    # Batch normalisation only counts its batches, and old files do not hold the count.
    counts = {name for name in expected if name.endswith("num_batches_tracked")}
    unmet = [name for name in expected if name not in fitting and name not in counts | classifier]
    if unmet or not fitting:
        raise BackboneError(
            f"The weights {path} do not fit {type(module).__name__}: "
            f"{_describe_unmet(unmet, state, expected)}."
        )
    try:
        module.load_state_dict({**expected, **fitting})
    except Exception as error:  # a module can have hooks of its own
        raise BackboneError(
            f"The weights {path} do not fit {type(module).__name__}: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    _warn_of_rest(path, state, fitting, classifier)


def read_state(path: Path) -> Any:
    """Return the content of a file of weights."""
    if not path.is_file():
        raise BackboneError(f"There is no file of weights {path}.")
    torch = import_optional("torch")
    try:
        if path.suffix == ".safetensors":
            return import_optional("safetensors.torch").load_file(path)
        return torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # a foreign file can fail in any way
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise BackboneError(
            f"{path} is damaged or no state dict, as .safetensors or from torch.save ({reason})."
        ) from error


def unwrap(content: Any) -> dict[str, Any]:
    """Return the state dict in the content of a checkpoint; an empty one if there is none."""
    while isinstance(content, Mapping):
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            return {name: value for name, value in content.items() if isinstance(name, str)}
        content = inner[0]
    return {}


def remove_prefix(state: dict[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict without the first parts that all names share but the network has not.

    Examples
    --------
    >>> from imgfeat.backbones.state_dicts import remove_prefix
    >>> remove_prefix({"module.fc.weight": 1, "module.fc.bias": 2}, {"fc.weight": 0})
    {'fc.weight': 1, 'fc.bias': 2}
    """
    while state and not any(name in expected for name in state):
        first = next(iter(state)).partition(".")[0] + "."
        if not all(name.startswith(first) for name in state):
            break
        state = {name.removeprefix(first): value for name, value in state.items()}
    return state


def find_classifier_names(module: Any) -> set[str]:
    """Return the names of the weights of a network's classifier: its last linear layer, or timm's.

    Parameters
    ----------
    module : torch.nn.Module
    """
    torch = import_optional("torch")
    config = getattr(module, "pretrained_cfg", None) or {}
    named = config.get("classifier") or ()
    layers = [named] if isinstance(named, str) else list(named)
    if not layers:
        linear = [n for n, part in module.named_modules() if isinstance(part, torch.nn.Linear)]
        layers = linear[-1:]
    return {name for name in module.state_dict() if name.rpartition(".")[0] in layers}


def _find_shape(value: Any) -> Any:
    return getattr(value, "shape", None)


def _describe_unmet(unmet: list[str], state: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    if not unmet:
        return "the file has none of the network's weights"
    name = unmet[0]
    rest = f", and {len(unmet) - 1} more" if len(unmet) > 1 else ""
    if name in state:
        shapes = (tuple(_find_shape(part[name]) or ()) for part in (state, expected))
        return "{} has shape {}, not {}{}".format(name, *shapes, rest)
    return f"{name} is missing{rest}"


def _warn_of_rest(
    path: Path, state: Mapping[str, Any], fitting: Mapping[str, Any], classifier: set[str]
) -> None:
    """Warn of weights of the file that the network does not get, and of those that it lacks."""
    unused = [name for name in state if name not in fitting]
    random = [name for name in sorted(classifier) if name not in fitting]
    if not unused and not random:
        return
    parts = []
    if unused:
        parts.append(f"left out of the file: {_list_names(unused)}")
    if random:
        parts.append(f"not loaded into the network: {_list_names(random)}")
    warnings.warn(f"Weights of {path} are {'; '.join(parts)}.", UserWarning, stacklevel=4)


def _list_names(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
