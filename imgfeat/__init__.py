"""scikit-learn for images: features, recipes and verdicts."""
__version__ = "0.1.0"
