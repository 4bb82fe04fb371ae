"""Converters of features of images, whose graphs are in `imgfeat.features.graphs`."""

from imgfeat.export.converters.registry import convert_features
from imgfeat.features.color import ColorHistogram, ColorMoments
from imgfeat.features.fisher import FisherVector
from imgfeat.features.gabor import Gabor
from imgfeat.features.graphs.color import emit_histogram, emit_moments
from imgfeat.features.graphs.fisher import emit_fisher
from imgfeat.features.graphs.gabor import emit_gabor
from imgfeat.features.graphs.hog import emit_hog
from imgfeat.features.graphs.lbp import emit_lbp
from imgfeat.features.graphs.texture import emit_glcm
from imgfeat.features.graphs.words import emit_words
from imgfeat.features.hog import HOG
from imgfeat.features.lbp import LBP
from imgfeat.features.texture import GLCM
from imgfeat.features.words import BagOfVisualWords

convert_features(HOG, emit_hog)
convert_features(LBP, emit_lbp)
convert_features(ColorHistogram, emit_histogram)
convert_features(ColorMoments, emit_moments)
convert_features(Gabor, emit_gabor)
convert_features(GLCM, emit_glcm)
convert_features(BagOfVisualWords, emit_words)
convert_features(FisherVector, emit_fisher)
