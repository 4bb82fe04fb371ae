"""Fitted pipelines to ONNX files: converted, proven, described, and only then written."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgfeat._files import write_atomically
from imgfeat.export.any_size import check_loader, take_any_size
from imgfeat.export.checks.file import check_file
from imgfeat.export.checks.wire_format import WireError
from imgfeat.export.conversion import convert, count_convertible
from imgfeat.export.description import describe, seal
from imgfeat.export.errors import ExportError
from imgfeat.export.network_quantization import quantize_networks
from imgfeat.export.plan import Plan, make_plan
from imgfeat.export.verification.certificate import Certificate, certify
from imgfeat.export.verification.outputs import TOLERANCE, Answers, ask_pipeline, compare_answers
from imgfeat.export.verification.rounding_sensitivity import find_borders
from imgfeat.images.samples import sample_images

# Images that ship with imgfeat, looked at besides the sample.
N_SHIPPED = 24


def to_onnx(
    pipeline: Any,
    X_sample: Any,
    path: str | os.PathLike,
    *,
    int8: bool = False,
    resize: bool = False,
    allow_partial: bool = False,
) -> Certificate:
    """Write a fitted pipeline as one ONNX file, from pixels to labels and probabilities.

    The file takes "images", uint8, of the size that the leading ImageLoader makes or else of
    `X_sample`, in batches of any length. It gives "label" and "probabilities" ("scores" where the
    pipeline has no probabilities), or "features" where it ends in features. Any ONNX Runtime runs
    it; `load_onnx` also reads and resizes images as the ImageLoader does, but that an image which
    cannot be read is an error, whatever its `on_error`.

    Before a file is written, graph and pipeline are compared on the sample and on photographs that
    ship along, at batches of 1, 3 and all. Where single precision is not enough, what learns
    computes in double.

    Parameters
    ----------
    pipeline : estimator
        Fitted: a Pipeline, or a search whose best estimator is one.
    X_sample : sequence of images
        Real ones, as the pipeline takes them, of all classes; best some that it was not trained on,
        whose features lie on no threshold. A hundred are plenty.
    path : path-like
        Where to; an existing file is replaced once the new one is proven.
    int8 : bool, default=False
        Quantise networks to 8 bits: the graph is compared with the pipeline quantised likewise, and
        the certificate tells what that costs.
    resize : bool, default=False
        Let the graph do the leading ImageLoader's resizing, to the same pixels: "images" are then
        of any height and width, those of a batch of the same. Decoding stays outside: orientation,
        transparency and 16 bits are settled before. It is tried on several sizes.
    allow_partial : bool, default=False
        If a step cannot be converted, write those before it.

    Returns
    -------
    certificate : Certificate
        What the comparison found; it is kept in the file, too.

    Raises
    ------
    ExportError
        If the pipeline is not fitted, a step cannot be converted, or the graph does not give what
        the pipeline gives; nothing is written then.
    MissingExtraError
        If skl2onnx or onnxruntime is not installed: ``pip install 'imgfeat[export]'``.
    OSError
        If the file cannot be written.

    See Also
    --------
    load_onnx : Runs the file.
    register_converters : For ``skl2onnx.to_onnx`` itself.

    Examples
    --------
    >>> import tempfile
    >>> from imgfeat import HOG, ImageLoader
    >>> from imgfeat.images.datasets import load_textures
    >>> from imgfeat.heads.factory import svm
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
    path = Path(path)
    if not path.parent.is_dir():
        raise ExportError(f"path={os.fspath(path)!r}: there is no folder {path.parent}.")
    if path.is_dir():
        raise ExportError(f"path={os.fspath(path)!r} is a folder: name a file in it.")
    plan = make_plan(pipeline, X_sample)
    if resize:
        check_loader(plan)
    exact = plan
    if int8:
        plan = quantize_networks(plan)
    notes: dict[str, Any] = {}
    try:
        model = convert(plan)
    except ExportError as whole:
        count, error = count_convertible(plan)
        if not allow_partial or count == 0:
            raise (error or whole) from None
        notes["left_out"] = tuple(name for name, _ in plan.steps[count:])
        plan = Plan(plan.steps[:count], plan.loader, plan.images)
        model = convert(plan)
    images = _collect_images(plan)
    truth = ask_pipeline(plan.cut(len(plan.steps)), images)
    if int8:
        notes["int8"] = _measure_cost(exact.cut(len(plan.steps)), truth, images)
    model, certificate = _prove(plan, model, truth, images, notes)
    if resize:
        model, sizes = take_any_size(plan, model, double=certificate.precision == "float64")
        certificate = replace(certificate, sizes=sizes)
    describe(model, plan, truth, certificate)
    content = seal(model)
    _check_content(content)
    write_atomically(path, content)
    return certificate


def _check_content(content: bytes) -> None:
    """Refuse to write what `load_onnx` would refuse to read."""
    try:
        check_file(content)
    except WireError as error:
        raise ExportError(
            f"The graph holds {error}; a network of an ONNX file may bring such along. Nothing was "
            "written."
        ) from error


def _collect_images(plan: Plan) -> NDArray[np.uint8]:
    shape = plan.shape
    if len(shape) == 1:  # flat: nobody knows what a photograph would look like
        return plan.images
    height, width, channels = (*shape, 1) if len(shape) == 2 else shape
    if channels == 4:  # photographs have no holes
        return plan.images
    shipped = sample_images(N_SHIPPED, (height, width, channels)).reshape(N_SHIPPED, *shape)
    return np.concatenate([plan.images, shipped])


def _prove(
    plan: Plan, model: Any, truth: Answers, images: NDArray[np.uint8], notes: dict[str, Any]
) -> tuple[Any, Certificate]:
    """Return the first graph that holds: in single precision, in double, or but for borders."""
    models = {False: model}
    causes: list[str] = []
    for borders in (False, True):
        for double in (False, True):
            try:
                if double not in models:
                    models[double] = convert(plan, double=double)
                certificate = certify(
                    truth,
                    models[double].SerializeToString(),
                    images,
                    borders=find_borders(plan, truth, images, double=double) if borders else None,
                    precision="float64" if double else "float32",
                    **notes,
                )
            except ExportError as error:
                causes.append(f"The graph cannot be run: {error}")
                continue
            if certificate.holds:
                return models[double], certificate
            causes.append(_say_what_is_wrong(certificate))
    raise ExportError(
        f"{causes[-1].rstrip('.')}. {_find_parting(plan, images)} Nothing was written."
    )


def _say_what_is_wrong(certificate: Certificate) -> str:
    if certificate.n_labels_different or not certificate.largest_difference <= TOLERANCE:
        figures = str(certificate).splitlines()[0]
        return f"The graph does not give what the pipeline gives: {figures}"
    return (
        f"{certificate.n_ties} of {certificate.n_images} images are on a border, where rounding "
        "decides: too few are left to prove anything by. Pass images that the pipeline was not "
        "trained on"
    )


def _find_parting(plan: Plan, images: NDArray[np.uint8]) -> str:
    """Say at which step graph and pipeline part."""
    for count in range(1, len(plan.steps) + 1):
        name, step = plan.steps[count - 1]
        place = f"step {count} of {len(plan.steps)}, {name} ({type(step).__name__})"
        truth = ask_pipeline(plan.cut(count), images)
        causes = []
        for double in (True, False):
            try:
                graph = convert(plan, count=count, double=double).SerializeToString()
                found = certify(truth, graph, images)
            except ExportError as error:
                causes.append(str(error))
            else:
                causes.append("" if found.holds else str(found).splitlines()[0])
        if all(causes):
            return f"They part at {place}: {causes[0].rstrip('.')}."
    return "No single step is to blame."


def _measure_cost(pipeline: Any, truth: Answers, images: NDArray[np.uint8]) -> dict[str, float]:
    found = compare_answers(ask_pipeline(pipeline, images), truth, np.arange(len(images)))
    return {
        "agreement": float(found.alike.mean()),
        "largest_difference": float(found.differences.max()),
    }
