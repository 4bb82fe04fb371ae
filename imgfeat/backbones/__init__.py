"""Pretrained networks, their layers, and the engines that run them."""

from typing import TYPE_CHECKING

from imgfeat._lazy import attach

if TYPE_CHECKING:
    from imgfeat.backbones.backbone import Backbone, load_backbone
    from imgfeat.backbones.errors import BackboneError
    from imgfeat.backbones.layers import Layer

__all__ = ["Backbone", "BackboneError", "Layer", "load_backbone"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "Backbone": ".backbone",
        "BackboneError": ".errors",
        "Layer": ".layers",
        "load_backbone": ".backbone",
    },
)
