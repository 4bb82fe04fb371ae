"""Intervals are what the bootstrap and Wilson say, and hold the truth as often as they claim."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from imgfeat.evaluation import Estimate
from imgfeat.evaluation.metrics.estimates import estimate_metrics
from imgfeat.evaluation.metrics.intervals import draw_resamples, find_percentiles, find_wilson
from imgfeat.evaluation.metrics.measures import LabelledOutputs


def answers_of(true, said, k=3):
    eye = np.eye(k, dtype=bool)
    return LabelledOutputs(eye[true], eye[said])


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (37, 50), (1, 2)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilson_is_scipys(hits, n, confidence):
    expected = stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    low, high = find_wilson(np.array(hits), np.array(n), confidence)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert np.isnan(find_wilson(np.array(0), np.array(0), 0.95)).all()


def test_the_bootstrap_of_accuracy_agrees_with_wilson():
    rng = np.random.default_rng(0)
    right = rng.uniform(size=500) < 0.8
    (weights,) = draw_resamples(500, 2000)
    low, high = find_percentiles((weights @ right) / 500, 0.95)
    expected = find_wilson(right.sum(), np.array(500), 0.95)
    np.testing.assert_allclose((low, high), expected, atol=0.006)


def test_the_bootstrap_of_f1_is_that_of_a_loop():
    rng = np.random.default_rng(1)
    true, said = rng.integers(0, 3, 120), rng.integers(0, 3, 120)
    said[:70] = true[:70]
    overall, _ = estimate_metrics(answers_of(true, said), n_bootstrap=300, random_state=4)
    found = overall["f1_macro"]
    loop = []
    for weights in draw_resamples(120, 300, random_state=4):
        for row in weights:
            drawn = np.repeat(np.arange(120), row)
            loop.append(f1_score(true[drawn], said[drawn], average="macro"))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(loop, (0.025, 0.975))))


def test_intervals_hold_the_truth_as_often_as_they_claim():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(120):
        true = rng.integers(0, 2, 150)
        said = np.where(rng.uniform(size=150) < 0.8, true, 1 - true)
        overall, _ = estimate_metrics(answers_of(true, said, 2), n_bootstrap=200, random_state=seed)
        found = overall["f1_macro"]  # 0.8 in the population: classes and errors are even
        held += found.low <= 0.8 <= found.high
    assert 0.88 <= held / 120 <= 0.99  # nominally 0.95, and 0.93 for so few images and resamples


def test_groups_are_drawn_whole():
    groups = np.repeat(["a", "b", "c"], [3, 1, 2])
    (weights,) = draw_resamples(6, 500, groups=groups)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 4] == weights[:, 5]).all()
    assert (weights[:, [0, 3, 4]].sum(axis=1) == 3).all()
    assert weights[:, [0, 3, 4]].mean() == pytest.approx(1, abs=1e-12)


def test_copies_of_an_image_add_no_certainty_if_grouped():
    rng = np.random.default_rng(2)
    true = rng.integers(0, 2, 60)
    said = np.where(rng.uniform(size=60) < 0.7, true, 1 - true)
    once, _ = estimate_metrics(answers_of(true, said, 2))
    copied = answers_of(np.repeat(true, 9), np.repeat(said, 9), 2)
    fooled, _ = estimate_metrics(copied)
    grouped, _ = estimate_metrics(copied, groups=np.repeat(np.arange(60), 9))

    def width(found):
        return found["accuracy"].high - found["accuracy"].low

    assert width(fooled) == pytest.approx(width(once) / 3, rel=0.1)
    assert width(grouped) == pytest.approx(width(once), rel=0.1)


def test_undefined_resamples_are_left_out():
    column = np.array([0.2, np.nan, 0.4, 0.6, np.nan, 0.8])
    mostly = np.array([0.5, np.nan, np.nan, np.nan, np.nan, 0.5])
    low, high = find_percentiles(np.stack([column, mostly], axis=1), 0.5)
    assert (low[0], high[0]) == pytest.approx(
        tuple(np.quantile([0.2, 0.4, 0.6, 0.8], (0.25, 0.75)))
    )
    assert np.isnan([low[1], high[1]]).all()
    assert str(Estimate(0.5, np.nan, np.nan)) == "0.500"
    assert str(Estimate(np.nan, np.nan, np.nan)) == "\N{EN DASH}"


def test_a_perfect_score_has_an_interval():
    codes = np.array([0, 1, 2] * 7)
    overall, per_class = estimate_metrics(answers_of(codes, codes))
    assert overall["accuracy"].low == pytest.approx(21 / (21 + 1.959964**2))
    assert overall["f1_micro"] == overall["accuracy"]
    assert per_class[0]["recall"].low == pytest.approx(7 / (7 + 1.959964**2))


def test_ten_thousand_images():
    rng = np.random.default_rng(0)
    eye = np.eye(10, dtype=bool)
    scores = rng.dirichlet(np.ones(10), 10_000)
    answers = LabelledOutputs(eye[rng.integers(0, 10, 10_000)], eye[scores.argmax(1)], scores, True)
    overall, _ = estimate_metrics(answers)
    assert overall["roc_auc"].low < 0.5 < overall["roc_auc"].high
