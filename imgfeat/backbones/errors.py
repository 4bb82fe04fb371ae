"""What can be wrong with a network, its weights, its layers or the engine to run it."""


class BackboneError(ValueError):
    """A network that is unknown, damaged, or cannot do what was asked; the message says how so."""
