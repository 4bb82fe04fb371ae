"""scikit-learn for images: features, recipes and verdicts.

Public names load when first used: importing imgfeat imports neither numba nor OpenCV.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from imgfeat import datasets, evaluation, features, recipes, testing, tuning
    from imgfeat._optional import MissingExtraError
    from imgfeat.backbones.errors import BackboneError
    from imgfeat.batching import Batched
    from imgfeat.decoding import ImageReadError
    from imgfeat.features.cnn import CNNEmbedding
    from imgfeat.features.color import ColorHistogram, ColorMoments
    from imgfeat.features.fisher import FisherVector
    from imgfeat.features.gabor import Gabor
    from imgfeat.features.hog import HOG, hog_image
    from imgfeat.features.lbp import LBP, local_binary_pattern
    from imgfeat.features.texture import GLCM
    from imgfeat.features.words import BagOfVisualWords
    from imgfeat.loading import BadImageWarning, ImageLoader
    from imgfeat.persistence import ModelFileError, ModelFileWarning, load_model, save_model
    from imgfeat.tuning.search import OptunaSearchCV

_HOMES = {
    "BackboneError": "imgfeat.backbones.errors",
    "BagOfVisualWords": "imgfeat.features.words",
    "Batched": "imgfeat.batching",
    "CNNEmbedding": "imgfeat.features.cnn",
    "ColorHistogram": "imgfeat.features.color",
    "ColorMoments": "imgfeat.features.color",
    "FisherVector": "imgfeat.features.fisher",
    "GLCM": "imgfeat.features.texture",
    "Gabor": "imgfeat.features.gabor",
    "HOG": "imgfeat.features.hog",
    "hog_image": "imgfeat.features.hog",
    "LBP": "imgfeat.features.lbp",
    "local_binary_pattern": "imgfeat.features.lbp",
    "BadImageWarning": "imgfeat.loading",
    "ImageLoader": "imgfeat.loading",
    "ImageReadError": "imgfeat.decoding",
    "MissingExtraError": "imgfeat._optional",
    "ModelFileError": "imgfeat.persistence",
    "ModelFileWarning": "imgfeat.persistence",
    "OptunaSearchCV": "imgfeat.tuning.search",
    "load_model": "imgfeat.persistence",
    "save_model": "imgfeat.persistence",
}
_MODULES = ("datasets", "evaluation", "features", "recipes", "testing", "tuning")

__all__ = [
    "GLCM",
    "HOG",
    "LBP",
    "BackboneError",
    "BadImageWarning",
    "BagOfVisualWords",
    "Batched",
    "CNNEmbedding",
    "ColorHistogram",
    "ColorMoments",
    "FisherVector",
    "Gabor",
    "ImageLoader",
    "ImageReadError",
    "MissingExtraError",
    "ModelFileError",
    "ModelFileWarning",
    "OptunaSearchCV",
    "datasets",
    "evaluation",
    "features",
    "hog_image",
    "load_model",
    "local_binary_pattern",
    "recipes",
    "save_model",
    "testing",
    "tuning",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"imgfeat.{name}")
    raise AttributeError(f"module 'imgfeat' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
