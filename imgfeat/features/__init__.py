"""Feature extractors: transformers from images to float32 features."""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.features.cnn import CNNEmbedding
    from imgfeat.features.color import ColorHistogram, ColorMoments
    from imgfeat.features.fisher import FisherVector
    from imgfeat.features.gabor import Gabor
    from imgfeat.features.hog import HOG, hog_image
    from imgfeat.features.lbp import LBP, local_binary_pattern
    from imgfeat.features.texture import GLCM
    from imgfeat.features.words import BagOfVisualWords

__all__ = [
    "GLCM",
    "HOG",
    "LBP",
    "BagOfVisualWords",
    "CNNEmbedding",
    "ColorHistogram",
    "ColorMoments",
    "FisherVector",
    "Gabor",
    "hog_image",
    "local_binary_pattern",
]

__getattr__, __dir__ = attach(
    __name__,
    {
        "BagOfVisualWords": ".words",
        "CNNEmbedding": ".cnn",
        "ColorHistogram": ".color",
        "ColorMoments": ".color",
        "FisherVector": ".fisher",
        "GLCM": ".texture",
        "Gabor": ".gabor",
        "HOG": ".hog",
        "hog_image": ".hog",
        "LBP": ".lbp",
        "local_binary_pattern": ".lbp",
    },
)
