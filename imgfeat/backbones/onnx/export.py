"""Torch networks as ONNX graphs, proven equal before anybody uses them."""

import json
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat import __version__
from imgfeat._optional import import_optional
from imgfeat.backbones.backbone import Backbone
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.onnx.graph import INPUT, OUTPUT, Surroundings, wrap_network
from imgfeat.backbones.onnx.session import open_session
from imgfeat.backbones.torch.extractor import build_extractor, build_taps
from imgfeat.images.samples import sample_images

# Of the largest feature: float32 sums in another order differ by about 1e-6 of it.
TOLERANCE = 1e-4
METADATA = "imgfeat"
PACKAGES = ("torch", "timm", "onnx", "onnxruntime")


def export_backbone(
    backbone: Backbone, around: Surroundings, batches: Sequence[int]
) -> tuple[Any, dict[str, Any]]:
    """Export a network with everything around it, and prove it equal to torch.

    Parameters
    ----------
    backbone : Backbone
    around : Surroundings
    batches : sequence of int
        Of which sizes batches are compared.

    Returns
    -------
    model : onnx.ModelProto
    agreement : dict
        What `verify_graph` found.

    Raises
    ------
    BackboneError
        If the network cannot be exported, or the graph does not give what torch gives.
    """
    torch = import_optional("torch")
    import_optional("onnxscript")
    taps = build_taps(backbone, around.layers)
    pixels = torch.zeros(2, backbone.n_channels, *around.image_size)
    try:
        with warnings.catch_warnings():
            # The exporter's own deprecations are no business of who wants features.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                taps,
                (pixels,),
                dynamo=True,
                verbose=False,
                external_data=False,
                dynamic_shapes=({0: torch.export.Dim("n")},),
            )
    except Exception as error:  # torch's exporter raises whatever its passes do
        raise BackboneError(
            f"{backbone.name} cannot be exported to ONNX ({' '.join(str(error).split())[:200]}). "
            "Use engine='torch'."
        ) from error
    network = program.model_proto
    outputs = [output.name for output in network.graph.output]
    model = wrap_network(network, around, outputs)
    reference = build_reference(backbone, around)
    content = model.SerializeToString()
    return model, verify_graph(content, reference, around.input_shape, batches)


def build_reference(
    backbone: Backbone, around: Surroundings
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return torch's own way from images to features."""
    torch = import_optional("torch")
    extractor = build_extractor(backbone, around)

    def reference(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return extractor(torch.from_numpy(images)).numpy()

    return reference


def verify_graph(
    model: bytes,
    reference: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    input_shape: tuple[int, int, int],
    batches: Sequence[int],
) -> dict[str, Any]:
    """Compare a graph with what it stands for, on photographs, in batches of several sizes.

    Returns
    -------
    agreement : dict
        ``batches``, ``max_difference``, ``max_feature`` and ``tolerance``.

    Raises
    ------
    BackboneError
        If they differ by more than `TOLERANCE` of the largest feature, or anything is not finite.
    """
    session = open_session(model)
    images = sample_images(max(batches), input_shape)
    expected = reference(images)
    if not np.isfinite(expected).all():
        raise BackboneError("This network gives features that are not finite, on photographs.")
    largest = float(np.abs(expected).max())
    difference = 0.0
    for n in batches:
        found = session.run([OUTPUT], {INPUT: images[:n]})[0]
        difference = float(np.maximum(difference, np.abs(found - expected[:n]).max()))
        # So written that NaN, which np.maximum keeps, is refused.
        if not difference <= TOLERANCE * max(largest, 1e-6):
            raise BackboneError(
                f"The exported graph is refused: at batch {n} its features differ from the "
                f"network's by {difference:.2e}, where {TOLERANCE:.0e} of the largest "
                f"({largest:.2e}) is allowed. Use engine='torch'."
            )
    return {
        "batches": list(batches),
        "max_difference": difference,
        "max_feature": largest,
        "tolerance": TOLERANCE,
    }


def write_metadata(model: Any, metadata: dict[str, Any]) -> bytes:
    """Note on a graph what it is; return it as bytes."""
    model.producer_name, model.producer_version = "imgfeat", __version__
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(metadata)
    return model.SerializeToString()


def read_metadata(session: Any) -> dict[str, Any]:
    """Return what `write_metadata` noted."""
    return json.loads(session.get_modelmeta().custom_metadata_map[METADATA])


def list_versions() -> dict[str, str]:
    """Return the versions of all that has a part in a graph, without importing them."""
    versions = {"imgfeat": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions
