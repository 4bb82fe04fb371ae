"""Recipes on the same folds, and tests of the differences between them."""
