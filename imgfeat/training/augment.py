"""Random augmentation of batches of images: presets, single transforms, and transforms of others.

Each image of a batch gets random numbers of its own. `transforms` has the arithmetic.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from imgfeat._near_names import suggest
from imgfeat._optional import import_optional
from imgfeat.training.transforms import (
    GEOMETRIC,
    draw_maps,
    erase_rectangles,
    jitter_colors,
    resample,
)

if TYPE_CHECKING:
    from torch import Generator, Tensor

Augment = str | Sequence[str] | Callable[..., Any] | None

# The strength of each transform when it is named alone. Their meaning is in `build_augmentation`.
STRENGTHS: dict[str, float] = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "rotation_90": 1.0,
    "rotation": 15.0,
    "zoom": 0.2,
    "shear": 10.0,
    "translation": 0.1,
    "crop": 0.5,
    "color_jitter": 0.2,
    "erasing": 0.5,
}

PRESETS: dict[str, dict[str, float]] = {
    "light": {"rotation": 10.0, "zoom": 0.1, "translation": 0.08},
    "standard": {
        "horizontal_flip": 0.5,
        "rotation": 15.0,
        "zoom": 0.2,
        "translation": 0.1,
        "color_jitter": 0.2,
    },
    "strong": {
        "horizontal_flip": 0.5,
        "rotation": 30.0,
        "zoom": 0.2,
        "shear": 10.0,
        "translation": 0.1,
        "crop": 0.5,
        "color_jitter": 0.4,
        "erasing": 0.5,
    },
}

# Pixels that are changed at once on a CPU: more would leave its cache.
PIXELS_AT_ONCE = 1 << 19


def list_transforms() -> list[str]:
    """Return the names of the single transforms that `build_augmentation` takes.

    Examples
    --------
    >>> from imgfeat.training.augment import list_transforms
    >>> list_transforms()[:2]
    ['horizontal_flip', 'vertical_flip']
    """
    return list(STRENGTHS)


def describe_augmentation(augment: Augment) -> str:
    """Return the transforms of an augmentation in words, with their strengths.

    Examples
    --------
    >>> from imgfeat.training.augment import describe_augmentation
    >>> describe_augmentation("light")
    'rotation (10), zoom (0.1), translation (0.08)'
    """
    if augment is None:
        return "none"
    if callable(augment):
        return type(augment).__name__ if not hasattr(augment, "__name__") else augment.__name__
    strengths = _find_strengths(augment)
    return ", ".join(f"{name} ({strength:g})" for name, strength in strengths.items())


def build_augmentation(
    augment: Augment, image_shape: tuple[int, int, int], seed: int | None = None
) -> "Augmentation":
    """Return a function that changes each image of a batch at random.

    Parameters
    ----------
    augment : None, str, list of str or callable
        None changes nothing. A preset: "light" has small rotations, zooms and translations, which
        leave a digit or a letter what it is; "standard" adds horizontal flips and colour jitter,
        for photographs; "strong" adds shears, crops and erasing to larger rotations and stronger
        jitter. Neither has vertical flips. For images without an upright, such as satellite
        pictures or cells, use ``["horizontal_flip", "vertical_flip", "rotation_90"]``.

        A name, or a list of names; the number is the default strength:

        - "horizontal_flip", "vertical_flip": with probability 0.5.
        - "rotation_90": by 0, 90, 180 or 270 degrees.
        - "rotation": by up to 15 degrees either way.
        - "zoom": by a factor of 1 / 1.2 to 1.2.
        - "shear": by up to 10 degrees either way, horizontally.
        - "translation": by up to 0.1 of the height and of the width.
        - "crop": a window of 0.5 to 1 of the image's area, its aspect ratio changed by a factor of
          3/4 to 4/3, enlarged to the size of the image, as RandomResizedCrop of torchvision does.
        - "color_jitter": brightness, contrast and (of RGB images) saturation, each by a factor of
          0.8 to 1.2.
        - "erasing": with probability 0.5, a rectangle of 0.02 to 0.33 of the area is filled with
          the mean colour of the image [1]_.

        A transform of torchvision.transforms is called on each image of shape (c, h, w), with its
        own random numbers; any other callable is called on the batch. Both must keep the shape.
    image_shape : (int, int, int)
        Height, width and channels (1 or 3) of the images.
    seed : int, default=None
        Seed of the random numbers for calls without a generator; None takes one at random.

    Returns
    -------
    augmentation : Augmentation
        Function of a float tensor of shape (n, c, h, w) in [0, 1], on any device, and optionally of
        a torch.Generator on the CPU, that returns a tensor of the same shape, dtype and device. On
        a CPU, the same state of the generator gives the same images. The global random state of
        torch is left as it is. Pixels from outside the image are reflections of those inside.

    Raises
    ------
    ValueError
        If a name is unknown, or images have neither 1 nor 3 channels.
    TypeError
        If `augment` is of another type.
    MissingExtraError
        If torch is not installed.

    References
    ----------
    .. [1] Z. Zhong et al., "Random Erasing Data Augmentation", AAAI 2020.

    Examples
    --------
    >>> import torch
    >>> from imgfeat.training import build_augmentation
    >>> augmentation = build_augmentation("standard", image_shape=(64, 64, 3), seed=0)
    >>> augmentation(torch.rand(8, 3, 64, 64)).shape
    torch.Size([8, 3, 64, 64])
    """
    import_optional("torch")
    shape = tuple(image_shape)
    if len(shape) != 3 or shape[2] not in (1, 3) or min(shape) < 1:
        raise ValueError(
            "image_shape must be (height, width, channels) with 1 or 3 channels, got "
            f"{image_shape!r}."
        )
    if augment is not None and callable(augment):
        return Augmentation({}, augment, shape, seed)
    return Augmentation(_find_strengths(augment), None, shape, seed)


def _find_strengths(augment: Any) -> dict[str, float]:
    """Return the strength of each transform by name, in the order in which they are applied."""
    if augment is None:
        return {}
    if isinstance(augment, str) and augment in PRESETS:
        chosen = PRESETS[augment]
    elif isinstance(augment, str):
        chosen = _read_names([augment], augment)
    elif isinstance(augment, (list, tuple)) and all(isinstance(name, str) for name in augment):
        chosen = _read_names(augment, augment)
    else:
        raise TypeError(
            "augment must be None, a preset, a name or list of names of transforms, or a callable; "
            f"got {augment!r}."
        )
    return {name: chosen[name] for name in STRENGTHS if name in chosen}


def _read_names(names: Iterable[str], augment: Any) -> dict[str, float]:
    for name in names:
        if name not in STRENGTHS:
            raise ValueError(
                f"augment={augment!r}: there is no transform {name!r}. "
                f"{suggest(name, [*PRESETS, *STRENGTHS])}Presets, which stand alone, are "
                f"{', '.join(PRESETS)}; transforms are {', '.join(STRENGTHS)}."
            )
    return {name: STRENGTHS[name] for name in names}


class Augmentation:
    """Random changes to the images of a batch; see `build_augmentation`.

    Parameters
    ----------
    strengths : dict of str to float
        Strength of each transform.
    function : callable or None
        Used instead of `strengths`.
    image_shape : (int, int, int)
        Height, width, channels.
    seed : int or None
    """

    def __init__(
        self,
        strengths: dict[str, float],
        function: Callable[..., Any] | None,
        image_shape: tuple[int, int, int],
        seed: int | None,
    ):
        import torch

        self.strengths = strengths
        self.function = function
        self.image_shape = image_shape
        self.generator = torch.Generator()
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(seed)

    def __call__(self, batch: "Tensor", generator: "Generator | None" = None) -> "Tensor":
        """Return the changed images.

        Parameters
        ----------
        batch : tensor of shape (n, c, h, w)
            Floating point in [0, 1]; not changed.
        generator : torch.Generator, default=None
            A generator on the CPU; None uses that of this object.

        Returns
        -------
        images : tensor of shape (n, c, h, w)
        """
        import torch

        generator = self.generator if generator is None else generator
        self._check(batch)
        if self.function is not None:
            return _call(self.function, batch, generator)
        height, width, _ = self.image_shape
        step = max(1, PIXELS_AT_ONCE // (height * width)) if batch.device.type == "cpu" else None
        parts = [self._change(part, generator) for part in batch.split(step or max(1, len(batch)))]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _change(self, batch: "Tensor", generator: "Generator") -> "Tensor":
        geometric = [(n, s) for n, s in self.strengths.items() if n in GEOMETRIC]
        images = batch if batch.dtype.itemsize >= 4 else batch.float()
        if geometric:
            images = resample(images, draw_maps(geometric, images.shape, generator))
        if "color_jitter" in self.strengths:
            images = jitter_colors(images, self.strengths["color_jitter"], generator)
        if "erasing" in self.strengths:
            images = erase_rectangles(images, self.strengths["erasing"], generator)
        return images.to(batch.dtype)

    def _check(self, batch: "Tensor") -> None:
        height, width, channels = self.image_shape
        if tuple(batch.shape[1:]) != (channels, height, width):
            raise ValueError(
                f"The batch must have shape (n, {channels}, {height}, {width}), as "
                f"image_shape={self.image_shape} says; got {tuple(batch.shape)}."
            )
        if not batch.is_floating_point():
            raise TypeError(
                f"The batch must be floating point in [0, 1], got {batch.dtype}. Divide uint8 "
                "images by 255."
            )


def _call(function: Callable[..., Any], batch: "Tensor", generator: "Generator") -> "Tensor":
    """Call a transform of torchvision on each image, or another function on the batch."""
    import torch

    seed = int(torch.randint(2**31, (), generator=generator))
    devices = [batch.device] if batch.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # Not torch.manual_seed, which also seeds the devices that are not restored.
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.default_generators[batch.device.index].manual_seed(seed)
        if _is_of_torchvision(function):
            result = [function(image) for image in batch]
            same = all(isinstance(i, torch.Tensor) and i.shape == batch.shape[1:] for i in result)
            images = torch.stack(result) if same and result else batch.new_empty(0)
        else:
            images = function(batch)
    if len(batch) == 0:
        return batch
    if not isinstance(images, torch.Tensor) or images.shape != batch.shape:
        raise ValueError(
            f"augment={function!r} must return images of the shape that it is given, "
            f"{tuple(batch.shape)} for the batch."
        )
    return images.to(batch.dtype)


def _is_of_torchvision(function: Callable[..., Any]) -> bool:
    """Return whether a callable draws its random numbers once for all images that it is given."""
    return any(
        kind.__module__.startswith("torchvision.transforms") for kind in type(function).mro()
    )
