"""ColorHistogram and ColorMoments as nodes."""

from imgfeat.export.color_graph import emit_histogram, emit_moments
from imgfeat.export.registry import convert_features
from imgfeat.features.color import ColorHistogram, ColorMoments

convert_features(ColorHistogram, emit_histogram)
convert_features(ColorMoments, emit_moments)
