"""Losses against formulas written out in numpy, and against torch's."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax
from sklearn.utils.class_weight import compute_class_weight

from imgfeat.training.losses import ClassificationLoss
from imgfeat.training.targets import Targets, encode_labels, weigh_classes

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (6, 3))
CODES = np.array([0, 2, 1, 1, 0, 1])
ROWS = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]])
WEIGHTS = np.array([0.5, 1.0, 4.0])


def compute(loss, targets, sample_weight=None, **options):
    multilabel = np.ndim(targets) == 2
    weights = options.pop("weights", None)
    criterion = ClassificationLoss(
        loss,
        multilabel,
        None if weights is None else torch.tensor(weights, dtype=torch.float32),
        **options,
    )
    targets = torch.tensor(targets, dtype=torch.float32 if multilabel else torch.int64)
    if sample_weight is not None:
        sample_weight = torch.tensor(sample_weight, dtype=torch.float32)
    return criterion(torch.tensor(LOGITS, dtype=torch.float32), targets, sample_weight).item()


def test_cross_entropy_with_class_weights_is_the_weighted_mean():
    each = -log_softmax(LOGITS, axis=1)[np.arange(6), CODES]
    assert compute("cross_entropy", CODES) == pytest.approx(each.mean(), rel=1e-5)
    weights = WEIGHTS[CODES]
    expected = (weights * each).sum() / weights.sum()
    assert compute("cross_entropy", CODES, weights=WEIGHTS) == pytest.approx(expected, rel=1e-5)
    torchs = torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS))
    assert expected == pytest.approx(torchs(torch.tensor(LOGITS), torch.tensor(CODES)).item())
    given = np.array([1, 0, 2, 1, 0.5, 3])
    both = (weights * given * each).sum() / (weights * given).sum()
    assert compute("cross_entropy", CODES, given, weights=WEIGHTS) == pytest.approx(both, rel=1e-5)


def test_label_smoothing_spreads_the_target():
    targets = np.eye(3)[CODES] * 0.7 + 0.3 / 3
    expected = -(targets * log_softmax(LOGITS, axis=1)).sum(axis=1).mean()
    found = compute("cross_entropy", CODES, label_smoothing=0.3)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 5.0])
def test_focal_loss_is_that_of_lin_et_al(gamma):
    log_p = log_softmax(LOGITS, axis=1)[np.arange(6), CODES]
    expected = (-((1 - np.exp(log_p)) ** gamma) * log_p).mean()
    assert compute("focal", CODES, gamma=gamma) == pytest.approx(expected, rel=1e-5)
    p = np.where(ROWS == 1, expit(LOGITS), 1 - expit(LOGITS))
    expected = (-((1 - p) ** gamma) * np.log(p)).mean()
    assert compute("focal", ROWS, gamma=gamma) == pytest.approx(expected, rel=1e-5)


def test_binary_cross_entropy():
    p = np.where(ROWS == 1, expit(LOGITS), 1 - expit(LOGITS))
    expected = -np.log(p).mean()
    for loss in ("bce", "cross_entropy"):
        assert compute(loss, ROWS) == pytest.approx(expected, rel=1e-5)
    weights = np.where(ROWS == 1, WEIGHTS, 1)
    expected = -(weights * np.log(p)).mean()
    assert compute("bce", ROWS, weights=WEIGHTS) == pytest.approx(expected, rel=1e-5)
    one_hot = np.eye(3)[CODES]
    p = np.where(one_hot == 1, expit(LOGITS), 1 - expit(LOGITS))
    assert compute("bce", CODES) == pytest.approx(-np.log(p).sum(axis=1).mean(), rel=1e-5)


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.array(["b", "a", "b", "b", "c", "b", "a"])
    targets = encode_labels(labels, None)
    expected = compute_class_weight("balanced", classes=targets.classes, y=labels)
    np.testing.assert_allclose(weigh_classes("balanced", targets), expected, rtol=1e-6)
    assert weigh_classes({"c": 9.0}, targets).tolist() == [1, 1, 9]
    rows = Targets(np.tile([0, 1], (3, 1)), ROWS.astype(np.float32))
    np.testing.assert_allclose(weigh_classes("balanced", rows), [1, 1, 1])
    assert weigh_classes({2: 5.0}, rows).tolist() == [1, 1, 5]
