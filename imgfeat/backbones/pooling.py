"""Pooling of layer outputs: statistics of each channel over the cells of a grid, as features.

The order of features in torch, in ONNX graphs and in the feature names is that of
`list_pooled_blocks`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from imgfeat._optional import import_optional
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.layers import Layer

if TYPE_CHECKING:
    import torch

POOLINGS = ("mean", "std", "max", "gem", "cls")
GEM_POWER = 3.0
GEM_FLOOR = 1e-6


class PooledBlock(NamedTuple):
    """A run of consecutive features, one for each channel of a layer.

    Parameters
    ----------
    pool : str
        One of `POOLINGS`, or "value" for a layer that is a vector.
    cell : (int, int)
        Row and column in the grid.
    rows, columns : (int, int)
        First and past-the-end row and column of the cell in the feature map.
    """

    pool: str
    cell: tuple[int, int]
    rows: tuple[int, int]
    columns: tuple[int, int]


def list_pooled_blocks(layer: Layer, pooling: Sequence[str], grid: int) -> list[PooledBlock]:
    """Return the blocks of features of a layer, in output order.

    Parameters
    ----------
    layer : Layer
    pooling : sequence of str
    grid : int
        Number of cells along each side. Where a side of the map is not a multiple of it, cells
        overlap by a row or column, as in torch's adaptive pooling.

    Raises
    ------
    BackboneError
        If `pooling` has "cls" and the layer has no class token.
    """
    if layer.kind == "vector":
        return [PooledBlock("value", (0, 0), (0, 1), (0, 1))]
    height, width = layer.sides
    blocks = []
    if "cls" in pooling:
        if not layer.n_prefix:
            raise BackboneError(
                f"Layer {layer.name!r} has no class token: pooling='cls' is for token layers "
                "of transformers."
            )
        blocks.append(PooledBlock("cls", (0, 0), (0, 1), (0, 1)))
    spatial = [pool for pool in pooling if pool != "cls"]
    for y in range(grid if spatial else 0):
        for x in range(grid):
            rows, columns = _cut(height, grid, y), _cut(width, grid, x)
            blocks += [PooledBlock(pool, (y, x), rows, columns) for pool in spatial]
    return blocks


def name_features(layers: Sequence[Layer], pooling: Sequence[str], grid: int) -> list[str]:
    """Return the names of the features, such as ``cnn_blocks.3.2_y0_x1_mean17``."""
    return [
        f"cnn_{layer.name}_{_name_block(block)}{channel}"
        for layer in layers
        for block in list_pooled_blocks(layer, pooling, grid)
        for channel in range(layer.n_channels)
    ]


def count_features(layers: Sequence[Layer], pooling: Sequence[str], grid: int) -> int:
    """Return the number of features of an image."""
    return sum(layer.n_channels * len(list_pooled_blocks(layer, pooling, grid)) for layer in layers)


def pool_with_torch(
    output: "torch.Tensor", layer: Layer, pooling: Sequence[str], grid: int
) -> "torch.Tensor":
    """Pool the output of a layer for a batch.

    Parameters
    ----------
    output : torch.Tensor
    layer : Layer
    pooling : sequence of str
    grid : int

    Returns
    -------
    features : torch.Tensor of shape (n, d), dtype float32
    """
    torch = import_optional("torch")
    output = output.float()
    pooled = []
    for block in list_pooled_blocks(layer, pooling, grid):
        if block.pool == "value":
            pooled.append(output)
        elif block.pool == "cls":
            pooled.append(output[:, 0])
        else:
            maps = _to_map(output, layer)
            pooled.append(_pool_cell(maps[:, :, slice(*block.rows), slice(*block.columns)], block))
    return torch.cat(pooled, dim=1)


def _to_map(output: "torch.Tensor", layer: Layer) -> "torch.Tensor":
    if layer.kind == "tokens":
        patches = output[:, layer.n_prefix :].transpose(1, 2)
        return patches.reshape(len(output), layer.n_channels, *layer.sides)
    return output.permute(0, 3, 1, 2) if layer.channels_last else output


def _pool_cell(cell: "torch.Tensor", block: PooledBlock) -> "torch.Tensor":
    torch = import_optional("torch")
    if block.pool == "mean":
        return cell.mean(dim=(2, 3))
    if block.pool == "std":
        return torch.var(cell, dim=(2, 3), correction=0).sqrt()
    if block.pool == "max":
        return cell.amax(dim=(2, 3))
    return cell.clamp(min=GEM_FLOOR).pow(GEM_POWER).mean(dim=(2, 3)).pow(1 / GEM_POWER)


def _cut(length: int, n: int, k: int) -> tuple[int, int]:
    return k * length // n, -(-(k + 1) * length // n)


def _name_block(block: PooledBlock) -> str:
    if block.pool in ("cls", "value"):
        return block.pool
    return f"y{block.cell[0]}_x{block.cell[1]}_{block.pool}"
