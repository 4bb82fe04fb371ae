"""Load model files, and check the path of a new one."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from imgfeat._protocols import Classifier


def check_out(out: str) -> Path:
    """Return the path of --out, after checking that it can be written, before any fitting."""
    from imgfeat._files import check_target

    path = Path(out)
    if not path.parent.is_dir():
        raise ValueError(f"--out {path}: there is no folder {path.parent}.")
    if path.suffix.lower() == ".onnx":
        raise ValueError(
            f"--out {path}: this command writes model files. Use {path.stem}.skops, and "
            "convert it with imgfeat export."
        )
    try:
        check_target(path)
    except ValueError as error:
        raise ValueError(f"--out {error}") from None
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"--out {path}: no permission to write to {path.parent}.")
    return path


def load_model_file(path: str, trust: Sequence[str]) -> Any:
    """Load a model file; `trust` has additional trusted types, and parameters that keep paths."""
    from imgfeat.persistence import ALLOWABLE, load_model

    allow = [name for name in trust if name in ALLOWABLE]
    return load_model(path, trusted=[name for name in trust if name not in allow], allow=allow)


def load_classifier(path: str, trust: Sequence[str]) -> Classifier:
    """Load a classifier from a model file or an ONNX file."""
    from imgfeat.export import load_onnx

    onnx = path.lower().endswith(".onnx")
    model = load_onnx(path, n_threads=os.cpu_count() or 1) if onnx else load_model_file(path, trust)
    if not hasattr(model, "predict"):
        raise ValueError(f"A classifier is needed, but {path} has a {type(model).__name__}.")
    return model
