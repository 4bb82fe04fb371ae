"""The ONNX graph of an embedding: read from the cache, or exported and verified."""

import hashlib
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from imgfeat._optional import import_optional
from imgfeat.backbones import lite0
from imgfeat.backbones.backbone import (
    Backbone,
    fingerprint_backbone,
    fingerprint_module,
    load_backbone,
)
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.layers import Layer, choose_layers, find_blocks, trace_layers
from imgfeat.backbones.onnx import cache as onnx_cache
from imgfeat.backbones.onnx.export import (
    Reference,
    build_reference,
    export_backbone,
    list_versions,
    read_metadata,
    verify_graph,
    write_metadata,
)
from imgfeat.backbones.onnx.graph import INPUT, OUTPUT, PrePostProcessing, wrap_network
from imgfeat.backbones.onnx.network import (
    MIN_OPSET,
    MIN_OPSET_TO_RESIZE,
    find_cuts,
    fingerprint_file,
    is_onnx_file,
    load_network,
    trace_graph,
    upgrade,
)
from imgfeat.backbones.onnx.quantization import quantize_graph
from imgfeat.backbones.onnx.session import open_session
from imgfeat.backbones.settings import Settings
from imgfeat.caching.content import CannotIdentifyError
from imgfeat.images.resizing import resize_image

# Increment this when the same settings give another graph than before.
FORMAT = 2
BATCHES = (1, 3, 8)


def fetch_graph(settings: Settings, precision: str, size: tuple[int, int]) -> bytes:
    """Return the graph from uint8 images to features, with its description in its metadata.

    Parameters
    ----------
    settings : Settings
    precision : {"fp32", "int8"}
    size : (int, int)
        Height and width of the input images.

    Raises
    ------
    BackboneError
        If there is no such network or layer, or the graph cannot be exported or verified.
    """
    if precision == "int8":
        return _fetch_quantized(settings, size)
    backbone = None
    fingerprint = None
    try:
        if is_onnx_file(settings.backbone):
            fingerprint = fingerprint_file(settings.backbone)
        else:
            fingerprint = fingerprint_backbone(settings.backbone, settings.weights)
            if fingerprint is None:
                backbone = load_backbone(settings.backbone, settings.weights, settings.image_size)
                fingerprint = fingerprint_module(backbone.module)
    except CannotIdentifyError:
        return _make_graph(settings, None, fingerprint, size)
    folder = onnx_cache.find_folder(settings.cache_dir)
    name = onnx_cache.hash_key(_describe(settings, fingerprint, size))
    model = onnx_cache.read_graph(folder, name)
    if model is None or not _matches_module(settings, model):
        model = _make_graph(settings, backbone, fingerprint, size)
        onnx_cache.write_graph(folder, name, model)
    return model


def identify_network(settings: Settings) -> str:
    """Return a string that identifies a network within a process, without loading it.

    Raises
    ------
    CannotIdentifyError
        If the content of a module cannot be hashed.
    """
    if is_onnx_file(settings.backbone):
        return fingerprint_file(settings.backbone)
    known = fingerprint_backbone(settings.backbone, settings.weights)
    return known or f"{settings.backbone}:{settings.weights}"


def find_image_size(settings: Settings) -> tuple[int, int]:
    """Return the height and width of the network's input, where they do not depend on the images.

    Raises
    ------
    BackboneError
        If the network takes images of any size, and `image_size` is None.
    """
    size = settings.image_size
    if size is None and is_onnx_file(settings.backbone):
        size = load_network(settings.backbone).image_size
    elif size is None and settings.backbone == lite0.NAME:
        size = lite0.IMAGE_SIZE
    elif size is None:
        size = load_backbone(settings.backbone, settings.weights).image_size
    if size is None:
        raise BackboneError(
            "This network takes images of any size. Call fit first, or give image_size."
        )
    return size


def find_layers(settings: Settings, size: tuple[int, int]) -> dict[str, Layer]:
    """Return all layers of a network, for images of the given size."""
    if is_onnx_file(settings.backbone):
        network = load_network(settings.backbone)
        return trace_graph(network, network.image_size or settings.image_size or size)
    backbone = load_backbone(settings.backbone, settings.weights, settings.image_size)
    image_size = settings.image_size or backbone.image_size or size
    return trace_layers(backbone.module, backbone.n_channels, image_size)


def _make_graph(
    settings: Settings,
    backbone: Backbone | None,
    fingerprint: str | None,
    size: tuple[int, int],
) -> bytes:
    with _show_progress("preparing the network, once on this machine"):
        if is_onnx_file(settings.backbone):
            return _wrap_file(settings, settings.backbone, fingerprint, size)
        backbone = backbone or load_backbone(
            settings.backbone, settings.weights, settings.image_size
        )
        return _export(settings, backbone, fingerprint, size)


def choose_processing(
    settings: Settings, backbone: Backbone, size: tuple[int, int]
) -> PrePostProcessing:
    """Choose image sizes, normalisation, layers and pooling for a torch network."""
    image_size = settings.image_size or backbone.image_size or size
    layers = trace_layers(backbone.module, backbone.n_channels, image_size)
    blocks = find_blocks(backbone.module, layers)
    return PrePostProcessing(
        input_shape=(*size, backbone.n_channels),
        image_size=image_size,
        mean=_expand_to_channels("mean", settings.mean, backbone.mean, backbone.n_channels),
        std=_expand_to_channels("std", settings.std, backbone.std, backbone.n_channels),
        layers=tuple(choose_layers(settings.layers, layers, blocks, backbone.stages)),
        pooling=settings.pooling,
        grid=settings.grid,
    )


def _export(
    settings: Settings, backbone: Backbone, fingerprint: str | None, size: tuple[int, int]
) -> bytes:
    processing = choose_processing(settings, backbone, size)
    model, agreement = export_backbone(backbone, processing, BATCHES)
    return write_metadata(
        model,
        {
            "backbone": backbone.name,
            "fingerprint": fingerprint,
            "precision": "fp32",
            "agreement": {"with": "torch", **agreement},
            "around": processing.to_dict(),
            "versions": list_versions(),
        },
    )


def _wrap_file(
    settings: Settings,
    path: str | os.PathLike[str],
    fingerprint: str | None,
    size: tuple[int, int],
) -> bytes:
    network = load_network(path)
    if None not in (network.image_size, settings.image_size) and (
        network.image_size != settings.image_size
    ):
        raise BackboneError(
            f"{path} takes images of {network.image_size}, got image_size="
            f"{settings.image_size}. Use image_size=None."
        )
    image_size = network.image_size or settings.image_size or size
    network = upgrade(network, MIN_OPSET if image_size == size else MIN_OPSET_TO_RESIZE)
    layers = trace_graph(network, image_size)
    wanted = choose_layers(settings.layers, layers, find_cuts(network, layers))
    channels = network.n_channels
    processing = PrePostProcessing(
        input_shape=(*size, channels),
        image_size=image_size,
        mean=_expand_to_channels("mean", settings.mean, (0.0,) * channels, channels),
        std=_expand_to_channels("std", settings.std, (1.0,) * channels, channels),
        layers=tuple(wanted),
        pooling=settings.pooling,
        grid=settings.grid,
    )
    model = wrap_network(
        network.model,
        processing,
        [layer.name for layer in wanted],
        channels_last=network.channels_last,
        takes_uint8=network.takes_uint8,
        batch=network.fixed_batch,
    )
    content = model.SerializeToString()
    if network.fixed_batch is None:
        kind, reference = "one image at a time", _run_one_by_one(content)
    else:
        kind, reference = "in reverse", _run_in_reverse(content)
    batches = BATCHES if network.fixed_batch is None else (network.fixed_batch,)
    agreement = verify_graph(content, reference, processing.input_shape, batches)
    return write_metadata(
        model,
        {
            "backbone": network.name,
            "fingerprint": fingerprint,
            "precision": "fp32",
            "agreement": {"with": f"itself, {kind}", **agreement},
            "around": processing.to_dict(),
            "versions": list_versions(),
        },
    )


def _fetch_quantized(settings: Settings, size: tuple[int, int]) -> bytes:
    exact = fetch_graph(settings, "fp32", size)
    metadata = read_metadata(open_session(exact))
    processing = PrePostProcessing.from_dict(metadata["around"])
    calibration = settings.calibration
    folder = onnx_cache.find_folder(settings.cache_dir)
    name = onnx_cache.hash_key(
        {
            "exact": hashlib.sha256(exact).hexdigest(),
            "calibration": hash_calibration(settings),
            "precision": "int8",
        }
    )
    model = onnx_cache.read_graph(folder, name)
    if model is None:
        proto = import_optional("onnx").load_model_from_string(exact)
        if calibration is not None:
            calibration = _fit_images(calibration, processing.input_shape)
        with _show_progress("quantising the network, once on this machine"):
            quantized, cost = quantize_graph(proto, processing, calibration)
        metadata |= {"precision": "int8", "quantization": cost}
        model = write_metadata(quantized, metadata)
        onnx_cache.write_graph(folder, name, model)
    return model


def hash_calibration(settings: Settings) -> str | None:
    """Return a hash of the calibration images, or None for the default ones."""
    if settings.calibration is None:
        return None
    digest = hashlib.sha256(repr(settings.calibration.shape).encode())
    digest.update(settings.calibration.tobytes())
    return digest.hexdigest()


def _fit_images(images: NDArray[np.uint8], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    resized = [resize_image(image, shape[:2]).reshape(*shape[:2], -1) for image in images]
    return np.ascontiguousarray(np.broadcast_to(np.stack(resized), (len(images), *shape)))


def _describe(settings: Settings, fingerprint: str, size: tuple[int, int]) -> dict[str, Any]:
    """Return all that determines what a graph computes."""
    return {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "size": size,
        "layers": settings.layers,
        "pooling": settings.pooling,
        "grid": settings.grid,
        "image_size": settings.image_size,
        "mean": settings.mean,
        "std": settings.std,
        "versions": list_versions(),
    }


def _matches_module(settings: Settings, model: bytes) -> bool:
    """Return whether a cached graph still computes what a user's own module computes.

    A module's code may depend on values that no hash covers, such as an attribute looked up by a
    name built at run time. Other networks are determined by their names and hashes.
    """
    if isinstance(settings.backbone, str) or is_onnx_file(settings.backbone):
        return True
    metadata = read_metadata(open_session(model))
    processing = PrePostProcessing.from_dict(metadata["around"])
    backbone = load_backbone(settings.backbone, settings.weights)
    try:
        reference = build_reference(backbone, processing)
        verify_graph(model, reference, processing.input_shape, BATCHES[:2])
    except Exception:  # for example because a layer no longer exists
        return False
    return True


def _show_progress(text: str) -> tqdm:
    """Show a message on a terminal until the work is done."""
    return tqdm(desc=text, bar_format="{desc} ...", leave=False, disable=None)


def _run_one_by_one(model: bytes) -> Reference:
    session = open_session(model)

    def reference(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = [session.run([OUTPUT], {INPUT: image[np.newaxis]})[0] for image in images]
        return np.concatenate(rows)

    return reference


def _run_in_reverse(model: bytes) -> Reference:
    session = open_session(model)

    def reference(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        reverse = np.ascontiguousarray(images[::-1])
        return session.run([OUTPUT], {INPUT: reverse})[0][::-1]

    return reference


def _expand_to_channels(
    name: str, given: tuple[float, ...] | None, own: tuple[float, ...], n_channels: int
) -> tuple[float, ...]:
    if given is None:
        return own
    if len(given) not in (1, n_channels):
        raise BackboneError(
            f"{name} must be one number or one for each of {n_channels} channel(s), got {given}."
        )
    return given * n_channels if len(given) == 1 else given
