"""Comparison of recipes on the same folds, with significance tests of their differences."""
