"""scikit-learn for images: features, recipes, tuning, evaluation and export.

Public names load at first use: importing imgfeat imports neither numba nor OpenCV.
"""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

__version__ = "0.1.0"

if TYPE_CHECKING:
    from imgfeat import evaluation, features, recipes, testing, training, tuning
    from imgfeat._optional import MissingExtraError
    from imgfeat.backbones.errors import BackboneError
    from imgfeat.batching import Batched
    from imgfeat.features.cnn import CNNEmbedding
    from imgfeat.features.color import ColorHistogram, ColorMoments
    from imgfeat.features.fisher import FisherVector
    from imgfeat.features.gabor import Gabor
    from imgfeat.features.hog import HOG, hog_image
    from imgfeat.features.lbp import LBP, local_binary_pattern
    from imgfeat.features.texture import GLCM
    from imgfeat.features.words import BagOfVisualWords
    from imgfeat.images import datasets
    from imgfeat.images.decoding import ImageReadError
    from imgfeat.images.loading import BadImageWarning, ImageLoader
    from imgfeat.persistence import ModelFileError, ModelFileWarning, load_model, save_model
    from imgfeat.training.classifier import CNNClassifier
    from imgfeat.tuning.search import OptunaSearchCV

__all__ = [
    "GLCM",
    "HOG",
    "LBP",
    "BackboneError",
    "BadImageWarning",
    "BagOfVisualWords",
    "Batched",
    "CNNClassifier",
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
    "backbones",
    "datasets",
    "evaluation",
    "export",
    "features",
    "heads",
    "hog_image",
    "images",
    "load_model",
    "local_binary_pattern",
    "recipes",
    "save_model",
    "testing",
    "training",
    "tuning",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "BackboneError": ".backbones.errors",
        "BadImageWarning": ".images.loading",
        "BagOfVisualWords": ".features.words",
        "Batched": ".batching",
        "CNNClassifier": ".training.classifier",
        "CNNEmbedding": ".features.cnn",
        "ColorHistogram": ".features.color",
        "ColorMoments": ".features.color",
        "FisherVector": ".features.fisher",
        "GLCM": ".features.texture",
        "Gabor": ".features.gabor",
        "HOG": ".features.hog",
        "ImageLoader": ".images.loading",
        "ImageReadError": ".images.decoding",
        "LBP": ".features.lbp",
        "MissingExtraError": "._optional",
        "ModelFileError": ".persistence",
        "ModelFileWarning": ".persistence",
        "OptunaSearchCV": ".tuning.search",
        "backbones": ".backbones",
        "datasets": ".datasets",
        "evaluation": ".evaluation",
        "export": ".export",
        "features": ".features",
        "heads": ".heads",
        "hog_image": ".features.hog",
        "images": ".images",
        "load_model": ".persistence",
        "local_binary_pattern": ".features.lbp",
        "recipes": ".recipes",
        "save_model": ".persistence",
        "testing": ".testing",
        "training": ".training",
        "tuning": ".tuning",
    },
)
