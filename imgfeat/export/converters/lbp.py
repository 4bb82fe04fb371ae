"""Converter for LBP; see `imgfeat.export.ops.lbp`."""

from imgfeat.export.converters.registry import convert_features
from imgfeat.export.ops.lbp import emit_lbp
from imgfeat.features.lbp import LBP

convert_features(LBP, emit_lbp)
