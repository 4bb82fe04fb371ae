"""Export of torch networks as ONNX graphs, whose features are compared with torch's."""

import json
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from imgfeat import __version__
from imgfeat._optional import import_optional
from imgfeat._protocols import InferenceSession
from imgfeat.backbones.backbone import Backbone
from imgfeat.backbones.errors import BackboneError
from imgfeat.backbones.onnx.graph import INPUT, OUTPUT, PrePostProcessing, wrap_network
from imgfeat.backbones.onnx.session import open_session
from imgfeat.backbones.torch.extractor import build_extractor, build_taps
from imgfeat.images.samples import sample_images

if TYPE_CHECKING:
    import onnx

# Relative to the largest feature: float32 sums in another order differ by about 1e-6 of it.
TOLERANCE = 1e-4
METADATA = "imgfeat"
PACKAGES = ("torch", "timm", "onnx", "onnxruntime")

# Computes the features of images.
Reference = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def export_backbone(
    backbone: Backbone, processing: PrePostProcessing, batches: Sequence[int]
) -> tuple["onnx.ModelProto", dict[str, Any]]:
    """Export a network with pre- and post-processing, and verify that it agrees with torch.

    Parameters
    ----------
    backbone : Backbone
    processing : PrePostProcessing
    batches : sequence of int
        Batch sizes for which the features are compared.

    Returns
    -------
    model : onnx.ModelProto
    agreement : dict
        Result of `verify_graph`.

    Raises
    ------
    BackboneError
        If the network cannot be exported, or the graph's features differ from torch's.
    """
    torch = import_optional("torch")
    import_optional("onnxscript")
    taps = build_taps(backbone, processing.layers)
    pixels = torch.zeros(2, backbone.n_channels, *processing.image_size)
    try:
        with warnings.catch_warnings():
            # The exporter's own deprecation warnings do not concern the user.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                taps,
                (pixels,),
                dynamo=True,
                verbose=False,
                external_data=False,
                dynamic_shapes=({0: torch.export.Dim("n")},),
            )
    except Exception as error:  # passes of torch's exporter raise many classes
        raise BackboneError(
            f"{backbone.name} cannot be exported to ONNX ({' '.join(str(error).split())[:200]}). "
            "Use engine='torch'."
        ) from error
    network = program.model_proto
    outputs = [output.name for output in network.graph.output]
    model = wrap_network(network, processing, outputs)
    reference = build_reference(backbone, processing)
    content = model.SerializeToString()
    return model, verify_graph(content, reference, processing.input_shape, batches)


def build_reference(backbone: Backbone, processing: PrePostProcessing) -> Reference:
    """Return a function that computes the features of images in torch."""
    torch = import_optional("torch")
    extractor = build_extractor(backbone, processing)

    def reference(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return extractor(torch.from_numpy(images)).numpy()

    return reference


def verify_graph(
    model: bytes,
    reference: Reference,
    input_shape: tuple[int, int, int],
    batches: Sequence[int],
) -> dict[str, Any]:
    """Compare a graph with a reference, on photographs, in batches of several sizes.

    Returns
    -------
    agreement : dict
        ``batches``, ``max_difference``, ``max_feature`` and ``tolerance``.

    Raises
    ------
    BackboneError
        If the features differ by more than `TOLERANCE` of the largest one, or are not finite.
    """
    session = open_session(model)
    images = sample_images(max(batches), input_shape)
    expected = reference(images)
    if not np.isfinite(expected).all():
        raise BackboneError(
            "The features of this network for sample photographs are not finite. Check its "
            "weights, mean and std."
        )
    largest = float(np.abs(expected).max())
    difference = 0.0
    for n in batches:
        found = session.run([OUTPUT], {INPUT: images[:n]})[0]
        difference = float(np.maximum(difference, np.abs(found - expected[:n]).max()))
        # "not <=" also refuses NaN, which np.maximum propagates.
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


def write_metadata(model: "onnx.ModelProto", metadata: dict[str, Any]) -> bytes:
    """Write a description into a graph's metadata; return the graph as bytes."""
    model.producer_name, model.producer_version = "imgfeat", __version__
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(metadata)
    return model.SerializeToString()


def read_metadata(session: InferenceSession) -> dict[str, Any]:
    """Return the description that `write_metadata` wrote."""
    return json.loads(session.get_modelmeta().custom_metadata_map[METADATA])


def list_versions() -> dict[str, str]:
    """Return the versions of the packages that determine a graph, without importing them."""
    versions = {"imgfeat": __version__}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "absent"
    return versions
