"""Converters for ColorHistogram and ColorMoments; see `imgfeat.export.ops.color`."""

from imgfeat.export.converters.registry import convert_features
from imgfeat.export.ops.color import emit_histogram, emit_moments
from imgfeat.features.color import ColorHistogram, ColorMoments

convert_features(ColorHistogram, emit_histogram)
convert_features(ColorMoments, emit_moments)
