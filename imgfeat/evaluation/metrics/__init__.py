"""Metrics of predictions, with confidence intervals."""
