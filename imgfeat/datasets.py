"""The short name of `imgfeat.images.datasets`."""

from imgfeat.images.datasets import *  # noqa: F403
from imgfeat.images.datasets import __all__ as __all__
