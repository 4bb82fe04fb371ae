"""HOG as nodes; see `imgfeat.export.hog_graph`."""

from imgfeat.export.hog_graph import emit_hog
from imgfeat.export.registry import convert_features
from imgfeat.features.hog import HOG

convert_features(HOG, emit_hog)
