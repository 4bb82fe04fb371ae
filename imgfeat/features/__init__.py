"""Feature extractors: images in, float32 rows out."""
