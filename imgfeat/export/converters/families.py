"""Converter for FamilyColumns: a slice of the features or, of other columns, a Gather."""

from imgfeat.export.converters.base_transformer import register_transformer
from imgfeat.heads.families import FamilyColumns

register_transformer(
    FamilyColumns,
    lambda family: len(family.columns_),
    lambda step: step.select(step.estimator.columns_),
)
