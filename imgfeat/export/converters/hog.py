"""Converter for HOG; see `imgfeat.export.ops.hog`."""

from imgfeat.export.converters.registry import convert_features
from imgfeat.export.ops.hog import emit_hog
from imgfeat.features.hog import HOG

convert_features(HOG, emit_hog)
