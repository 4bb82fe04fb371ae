"""Caches of features on disk, keyed by transformer and image."""
