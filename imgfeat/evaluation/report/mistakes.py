"""The wrong predictions that a model was surest of, with their pictures."""

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
from imgfeat.evaluation.metrics.measures import Answers
from imgfeat.images.decoding import name_source
from imgfeat.images.loading import ImageLoader

THUMBNAIL = 96


@dataclass(frozen=True)
class Mistake:
    """One wrong prediction.

    Attributes
    ----------
    name : str
        Path of the image, or its number.
    true, predicted : str
        Classes; several or "none" for multi-label models.
    probability : float or None
        Of what is wrong: the predicted class, or the label most surely said or denied.
    picture : bytes or None
        PNG of at most 96 x 96 pixels; None where the model's input is no picture.
    """

    name: str
    true: str
    predicted: str
    probability: float | None
    picture: bytes | None


def find_mistakes(evaluation: Evaluation, *, limit: int = 24) -> list[Mistake]:
    """Return the worst mistakes: those that the model was surest of.

    Parameters
    ----------
    evaluation : Evaluation
    limit : int, default=24

    Returns
    -------
    mistakes : list of Mistake
        In the order of the images where the model has no scores.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from imgfeat.images.datasets import load_textures
    >>> from imgfeat.evaluation import evaluate
    >>> from imgfeat.evaluation.report.mistakes import find_mistakes
    >>> test = load_textures("test")
    >>> model = DummyClassifier(strategy="prior").fit(test.images, test.target)
    >>> mistake = find_mistakes(evaluate(model, test.images, test.target))[0]
    >>> mistake.name, mistake.true, mistake.predicted
    ('image 32', 'grass', 'brick')
    """
    answers = evaluation.answers
    wrong = np.flatnonzero((answers.truth != answers.said).any(axis=1))
    sureness = _measure_sureness(answers)
    order = wrong if sureness is None else wrong[np.argsort(-sureness[wrong], kind="stable")]
    return [
        Mistake(
            _name_image(evaluation.images, i),
            _list_classes(evaluation, answers.truth[i]),
            _list_classes(evaluation, answers.said[i]),
            float(sureness[i]) if sureness is not None and answers.probabilistic else None,
            _draw_thumbnail(evaluation.images, i),
        )
        for i in order[:limit].tolist()
    ]


def _measure_sureness(answers: Answers) -> NDArray[np.float64] | None:
    scores = answers.scores
    if scores is None:
        return None
    if answers.multilabel:
        against = 1 - scores if answers.probabilistic else -scores
        wrong = answers.truth != answers.said
        return np.where(wrong, np.where(answers.said, scores, against), -np.inf).max(axis=1)
    said = (scores * answers.said).sum(axis=1)
    return said if answers.probabilistic else said - (scores * answers.truth).sum(axis=1)


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
    # Pixels that do not say what is black and white are shown by their own range.
    for value_range in ("dtype", "image"):
        loader = ImageLoader(THUMBNAIL, resize="pad", value_range=value_range)
        with suppress(TypeError, ValueError):  # of features of images, say, and no images
            pixels = loader.transform(_pick(images, number))[0]
            break
    if pixels is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _pick(images: Any, number: int) -> Any:
    return safe_indexing(images, [number])
