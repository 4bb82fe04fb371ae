"""The error raised where training itself fails."""


class TrainingError(ValueError):
    """The loss is not finite, or a batch of one image does not fit the GPU."""
