"""Model files that a command is given, and where it writes them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def check_out(out: str) -> Path:
    """Return where the model goes; what cannot be written is known before hours of fitting."""
    from imgfeat._files import check_target

    path = Path(out)
    if not path.parent.is_dir():
        raise ValueError(f"--out {path}: there is no folder {path.parent}.")
    if path.suffix.lower() == ".onnx":
        raise ValueError(
            f"--out {path}: models are kept as {path.stem}.skops, from which imgfeat export makes "
            "the ONNX file."
        )
    try:
        check_target(path)
    except ValueError as error:
        raise ValueError(f"--out {error}") from None
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"--out {path}: no permission to write in {path.parent}.")
    return path


def load_model_file(path: str, trust: Sequence[str]) -> Any:
    """Load a model file; `trust` names types of the user's own, and parameters to be kept."""
    from imgfeat.persistence import ALLOWABLE, load_model

    allow = [name for name in trust if name in ALLOWABLE]
    return load_model(path, trusted=[name for name in trust if name not in allow], allow=allow)


def load_classifier(path: str, trust: Sequence[str]) -> Any:
    """Load a classifier from a model file or an ONNX file."""
    from imgfeat.export import load_onnx

    onnx = path.lower().endswith(".onnx")
    model = load_onnx(path, n_threads=os.cpu_count() or 1) if onnx else load_model_file(path, trust)
    if not hasattr(model, "predict"):
        raise ValueError(f"{path} holds no classifier but a {type(model).__name__}.")
    return model
