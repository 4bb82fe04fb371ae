"""Recipes: one file, one pipeline. `imgfeat.recipes` loads them by name."""
