"""Recipes: each file defines one pipeline, which `imgfeat.recipes` loads by name."""
