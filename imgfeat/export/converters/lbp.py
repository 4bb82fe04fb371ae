"""LBP as nodes; see `imgfeat.export.lbp_graph`."""

from imgfeat.export.lbp_graph import emit_lbp
from imgfeat.export.registry import convert_features
from imgfeat.features.lbp import LBP

convert_features(LBP, emit_lbp)
