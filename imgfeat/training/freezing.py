"""Which part of a network is trained: the order of its layers, and where training starts."""

from torch import nn

from imgfeat._near_names import suggest
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.layers import find_blocks, trace_layers
from imgfeat.training.network import run_once

# A start after every layer: nothing before the classifier is trained.
HEAD = float("inf")
ALL = -1.0


class LayerOrder:
    """The order in which a network starts its modules.

    Parameters
    ----------
    module : torch.nn.Module
        In evaluation mode, on the CPU.
    n_channels : int
    image_size : (int, int)

    Attributes
    ----------
    positions : dict of str to float
        Position of each module by name. Modules that do not run on their own, such as the output
        projection of torch's attention, have the position of the module around them.
    blocks : list of str
        The modules that run in sequence.
    """

    def __init__(self, module: nn.Module, n_channels: int, image_size: tuple[int, int]):
        layers = trace_layers(module, n_channels, image_size)
        self.blocks = find_blocks(module, layers)
        self.positions = _find_positions(module, n_channels, image_size)

    def find_start(self, unfreeze: str | int) -> float:
        """Return the position of the first module that is trained.

        Parameters
        ----------
        unfreeze : {"head", "last_block", "all"}, int or str
            See `imgfeat.training.CNNClassifier`.

        Raises
        ------
        BackboneError
            If there is no such layer, or there are fewer blocks.
        """
        if unfreeze == "head":
            return HEAD
        if unfreeze == "all":
            return ALL
        if unfreeze == "last_block" or not isinstance(unfreeze, str):
            return self._find_block(1 if isinstance(unfreeze, str) else unfreeze)
        if not unfreeze or unfreeze not in self.positions:
            raise BackboneError(
                f"unfreeze={unfreeze!r}: the network has no such layer. "
                f"{suggest(unfreeze, self.positions)}Give 'head', 'last_block', 'all', a number of "
                f"blocks, or a layer, such as {', '.join(self.blocks)}."
            )
        return self.positions[unfreeze]

    def list_starts(self, unfreeze: str | int) -> list[float]:
        """Return the starts of gradual unfreezing: the head, block after block, `unfreeze`."""
        last = self.find_start(unfreeze)
        blocks = [self.positions[name] for name in reversed(self.blocks)]
        return [HEAD, *(start for start in blocks if start > last), last]

    def _find_block(self, n: int) -> float:
        if n > len(self.blocks):
            raise BackboneError(
                f"unfreeze={n}: the network has {len(self.blocks)} block(s): "
                f"{', '.join(self.blocks)}. Give a smaller number, or 'all'."
            )
        return self.positions[self.blocks[-n]]


def list_frozen(order: LayerOrder, start: float) -> list[str]:
    """Return the names of the modules that run before a position."""
    return [name for name, position in order.positions.items() if position < start]


def _find_positions(
    module: nn.Module, n_channels: int, image_size: tuple[int, int]
) -> dict[str, float]:
    started: dict[str, float] = {}

    def record(name: str) -> None:
        started.setdefault(name, float(len(started)))

    handles = [
        part.register_forward_pre_hook(lambda _, __, name=name: record(name))
        for name, part in module.named_modules()
    ]
    try:
        run_once(module, n_channels, image_size)
    finally:
        for handle in handles:
            handle.remove()
    positions: dict[str, float] = {}
    for name, _ in module.named_modules():
        outer = name.rpartition(".")[0]
        positions[name] = started.get(name, positions.get(outer, 0.0))
    return positions
