"""The error raised for networks, their weights, their layers and the engines that run them."""


class BackboneError(ValueError):
    """A network is unknown or damaged, or does not support the given parameters."""
