"""Export of fitted pipelines to ONNX: converted, verified, described and only then written."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from imgfeat._files import write_atomically
from imgfeat.export.any_size import check_loader, take_any_size
from imgfeat.export.description import describe
from imgfeat.export.errors import ExportError
from imgfeat.export.leading_steps import convert_leading_steps
from imgfeat.export.model_file import serialize_model
from imgfeat.export.network_quantization import quantize_networks
from imgfeat.export.plan import Plan, make_plan
from imgfeat.export.verification.certificate import Certificate
from imgfeat.export.verification.graph_outputs import Outputs, compare_outputs, run_pipeline
from imgfeat.export.verification.precision import verify
from imgfeat.images.samples import sample_images

# Number of images that ship with imgfeat and are compared besides the sample.
N_SHIPPED = 24


def to_onnx(
    pipeline: BaseEstimator,
    X_sample: Any,
    path: str | os.PathLike[str],
    *,
    int8: bool = False,
    resize: bool = False,
    allow_partial: bool = False,
) -> Certificate:
    """Write a fitted pipeline as one ONNX file, from pixels to labels and probabilities.

    The file takes "images", uint8, of the size that the leading ImageLoader makes or else of
    `X_sample`, in batches of any length. It returns "label" and "probabilities" ("scores" where the
    pipeline has no probabilities), or "features" where the pipeline ends in features. Any ONNX
    Runtime runs it. `load_onnx` also reads and resizes images as the ImageLoader does, except that
    an image that cannot be read is an error, whatever the ImageLoader's `on_error`.

    Before the file is written, the outputs of graph and pipeline are compared on the sample and on
    photographs that ship with imgfeat, in batches of 1, of 3 and of all images. If single precision
    is not enough, the steps that are fitted to data compute in double precision. Differences on
    rounding-sensitive images are tolerated and counted in the certificate, see `Certificate`.

    Parameters
    ----------
    pipeline : estimator
        A fitted Pipeline, or a fitted search whose best estimator is one.
    X_sample : sequence of images
        Real images of all classes, as the pipeline takes them; preferably some that it was not
        trained on, since the features of training images often equal thresholds of trees. A hundred
        images are enough.
    path : path-like
        The file to write; an existing file is replaced once the new graph is verified.
    int8 : bool, default=False
        Quantise networks to 8 bits: the graph is compared with the pipeline quantised in the same
        way, and the certificate holds the difference to the pipeline that is not quantised.
    resize : bool, default=False
        Resize in the graph as the leading ImageLoader does, to the same pixels: "images" then have
        any height and width, the same for all images of a batch. Decoding, EXIF orientation,
        transparency and conversion to 8 bits stay outside of the graph. The graph is compared on
        images of several sizes.
    allow_partial : bool, default=False
        If a step cannot be converted, write the steps before it.

    Returns
    -------
    certificate : Certificate
        Result of the comparison; the file's metadata hold it as well.

    Raises
    ------
    ExportError
        If the pipeline is not fitted, a step cannot be converted, or the outputs of the graph
        differ from those of the pipeline; nothing is written then.
    MissingExtraError
        If skl2onnx or onnxruntime is not installed: ``pip install 'imgfeat[export]'``.
    OSError
        If the file cannot be written.

    See Also
    --------
    load_onnx : Loads the file.
    register_converters : Makes the converters known to ``skl2onnx.to_onnx`` itself.

    Examples
    --------
    >>> import tempfile
    >>> from imgfeat import HOG, ImageLoader
    >>> from imgfeat.datasets import load_textures
    >>> from imgfeat.heads import svm
    >>> from imgfeat.export import to_onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> train = load_textures("train")
    >>> model = make_pipeline(ImageLoader(32, color="gray"), HOG(), svm(probability=True))
    >>> model = model.fit(train.images, train.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     certificate = to_onnx(model, train.images[:32], f"{folder}/model.onnx")
    >>> certificate.holds, certificate.n_labels_equal == certificate.n_images
    (True, True)
    """
    path = _check_path(path)
    original = make_plan(pipeline, X_sample)
    if resize:
        check_loader(original)
    plan = quantize_networks(original) if int8 else original
    plan, model, left_out = convert_leading_steps(plan, allow_partial=allow_partial)
    images = _collect_images(plan)
    expected = run_pipeline(plan.cut(), images)
    model, certificate = verify(plan, model, expected, images)
    certificate = replace(certificate, left_out=left_out)
    if int8:
        cost = _measure_quantization(original.cut(len(plan.steps)), expected, images)
        certificate = replace(certificate, int8=cost)
    if resize:
        model, sizes = take_any_size(plan, model, double=certificate.precision == "float64")
        certificate = replace(certificate, sizes=sizes)
    write_atomically(path, serialize_model(model, describe(plan, expected, certificate)))
    return certificate


def _check_path(path: str | os.PathLike[str]) -> Path:
    found = Path(path)
    if not found.parent.is_dir():
        raise ExportError(f"path={os.fspath(path)!r}: there is no folder {found.parent}.")
    if found.is_dir():
        raise ExportError(f"path={os.fspath(path)!r} is a folder: name a file in it.")
    return found


def _collect_images(plan: Plan) -> NDArray[np.uint8]:
    """Return the sample and, where the shape allows photographs, images that ship with imgfeat."""
    shape = plan.shape
    if len(shape) == 1:  # flat images: their height and width are not known
        return plan.images
    height, width, channels = (*shape, 1) if len(shape) == 2 else shape
    if channels == 4:  # the photographs have no alpha channel
        return plan.images
    shipped = sample_images(N_SHIPPED, (height, width, channels)).reshape(N_SHIPPED, *shape)
    return np.concatenate([plan.images, shipped])


def _measure_quantization(
    pipeline: BaseEstimator, quantized: Outputs, images: NDArray[np.uint8]
) -> dict[str, float]:
    """Return how far the outputs of a quantised pipeline are from those of the original."""
    compared = compare_outputs(run_pipeline(pipeline, images), quantized, np.arange(len(images)))
    return {
        "agreement": float(compared.equal.mean()),
        "largest_difference": float(compared.differences.max()),
    }
