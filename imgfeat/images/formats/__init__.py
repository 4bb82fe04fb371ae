"""Image files by format: what Pillow leaves out, and damage that it does not see."""
