"""Safe loading of model files: size limits, checksums, trusted types, validation, paths."""
