"""Support for image formats: features that Pillow lacks, and damage that it does not detect."""
