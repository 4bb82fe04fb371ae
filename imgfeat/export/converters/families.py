"""FamilyColumns as nodes: a slice, or where columns lie apart, a gathering of them."""

from imgfeat.export.converters.base_transformer import register_transformer
from imgfeat.heads.families import FamilyColumns

register_transformer(
    FamilyColumns,
    lambda family: len(family.columns_),
    lambda step: step.select(step.estimator.columns_),
)
