"""The most confident wrong predictions, with thumbnails of the images."""

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgfeat._compat.sklearn import safe_indexing
from imgfeat.evaluation.evaluate import Evaluation
from imgfeat.evaluation.metrics.measures import LabelledOutputs
from imgfeat.images.decoding import name_source
from imgfeat.images.loading import ImageLoader

THUMBNAIL = 96


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction.

    Attributes
    ----------
    name : str
        Path of the image, or its position.
    true, predicted : str
        True and predicted class; for multi-label models all labels, or "none".
    probability : float or None
        Probability of the wrong class; for multi-label models that of the most confident wrong
        label, which is the probability of its absence if the label is wrongly not predicted.
    picture : bytes or None
        PNG of at most 96 x 96 pixels; None if the input of the model is not an image.
    """

    name: str
    true: str
    predicted: str
    probability: float | None
    picture: bytes | None


def find_mistakes(evaluation: Evaluation, *, limit: int = 24) -> list[Mistake]:
    """Return the misclassified images, the most confident predictions first.

    Parameters
    ----------
    evaluation : Evaluation
    limit : int, default=24
        Most mistakes to return.

    Returns
    -------
    mistakes : list of Mistake
        In the order of the images if the model has no scores.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from imgfeat.datasets import load_textures
    >>> from imgfeat.evaluation import evaluate
    >>> from imgfeat.evaluation.report.mistakes import find_mistakes
    >>> test = load_textures("test")
    >>> model = DummyClassifier(strategy="prior").fit(test.images, test.target)
    >>> mistake = find_mistakes(evaluate(model, test.images, test.target))[0]
    >>> mistake.name, mistake.true, mistake.predicted
    ('image 32', 'grass', 'brick')
    """
    outputs = evaluation.outputs
    wrong = np.flatnonzero((outputs.y_true != outputs.y_pred).any(axis=1))
    confidence = _measure_confidence(outputs)
    order = wrong if confidence is None else wrong[np.argsort(-confidence[wrong], kind="stable")]
    return [
        Mistake(
            _name_image(evaluation.images, i),
            _list_classes(evaluation, outputs.y_true[i]),
            _list_classes(evaluation, outputs.y_pred[i]),
            float(confidence[i]) if confidence is not None and outputs.probabilistic else None,
            _draw_thumbnail(evaluation.images, i),
        )
        for i in order[:limit].tolist()
    ]


def _measure_confidence(outputs: LabelledOutputs) -> NDArray[np.float64] | None:
    scores = outputs.scores
    if scores is None:
        return None
    if outputs.multilabel:
        against = 1 - scores if outputs.probabilistic else -scores
        wrong = outputs.y_true != outputs.y_pred
        return np.where(wrong, np.where(outputs.y_pred, scores, against), -np.inf).max(axis=1)
    predicted = (scores * outputs.y_pred).sum(axis=1)
    if outputs.probabilistic:
        return predicted
    return predicted - (scores * outputs.y_true).sum(axis=1)


def _list_classes(evaluation: Evaluation, chosen: NDArray[np.bool_]) -> str:
    names = [str(evaluation.classes[k]) for k in np.flatnonzero(chosen)]
    return ", ".join(names) or "none"


def _name_image(images: Any, number: int) -> str:
    item = _pick(images, number)
    item = np.ravel(item.to_numpy() if hasattr(item, "to_numpy") else item[:1])
    source = item[0].item() if isinstance(item[0], np.generic) else item[0]
    return name_source(source) if isinstance(source, (str, os.PathLike)) else f"image {number}"


def _draw_thumbnail(images: Any, number: int) -> bytes | None:
    pixels = None
    # Pixels whose dtype does not determine black and white are scaled by their own range.
    for value_range in ("dtype", "image"):
        loader = ImageLoader(THUMBNAIL, resize="pad", value_range=value_range)
        with suppress(TypeError, ValueError):  # the input may be features instead of images
            pixels = loader.transform(_pick(images, number))[0]
            break
    if pixels is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _pick(images: Any, number: int) -> Any:
    return safe_indexing(images, [number])
