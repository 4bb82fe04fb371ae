"""What model files may hold: limits, seals, trusted types, checks of structure, paths."""
