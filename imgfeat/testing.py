"""Checks of image transformers and classifiers, one function per check."""

import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone, is_classifier

from imgfeat._compat.sklearn import OUTPUT_CONFIG

Images = NDArray[Any]

# Of probabilities, whose products of matrices BLAS rounds by the shape of the batch.
ROUNDING = 1e-6


def check_image_estimator(estimator: BaseEstimator, images: Images | None = None) -> None:
    """Check that an image transformer or classifier adheres to imgfeat's conventions.

    It replaces scikit-learn's ``check_estimator``, which skips nearly all checks for estimators
    that do not take two-dimensional arrays.

    Parameters
    ----------
    estimator : estimator
        A transformer or classifier of images, fitted or not; it is cloned. If its ``random_state``
        is None, 0 is used. A classifier gets two classes, of every other image.
    images : ndarray of shape (n, h, w, 3), dtype uint8, default=None
        At least four images to check on; by default six 64 x 64 crops of photographs.

    Raises
    ------
    AssertionError
        If a check fails; the message names the check.

    Examples
    --------
    >>> from imgfeat import HOG
    >>> from imgfeat.testing import check_image_estimator
    >>> check_image_estimator(HOG(orientations=6))
    """
    images = _sample_images() if images is None else images
    estimator = _fix_random_state(estimator)
    for check in CHECKS:
        try:
            check(estimator, images.copy())
        except Exception as error:
            raise AssertionError(
                f"{type(estimator).__name__}: {check.__name__}: {error}"
            ) from error


def check_output(estimator: BaseEstimator, images: Images) -> None:
    """Features are C-contiguous and float32; image outputs are uint8; probabilities sum to 1."""
    output = _fit_transform(estimator, images)
    assert isinstance(output, np.ndarray), f"returned a {type(output).__name__}"
    assert len(output) == len(images), f"{len(images)} images gave {len(output)} rows"
    assert output.flags.c_contiguous, "the output is not C-contiguous"
    if is_classifier(estimator):
        if hasattr(estimator, "predict_proba"):
            assert np.allclose(output.sum(axis=1), 1, atol=1e-6), "probabilities do not sum to 1"
        return
    expected = np.float32 if output.ndim == 2 else np.uint8
    assert output.dtype == expected, f"dtype {output.dtype}, not {np.dtype(expected)}"
    assert np.isfinite(output).all(), "the output is not finite"


def check_grey_and_color(estimator: BaseEstimator, images: Images) -> None:
    """(n, h, w), (n, h, w, 1), RGB and RGBA are accepted; an opaque alpha has no effect."""
    gray = images[..., 0]
    _assert_same(
        _fit_transform(estimator, gray),
        _fit_transform(estimator, gray[..., np.newaxis]),
        "(n, h, w) and (n, h, w, 1) differ",
    )
    opaque = np.concatenate([images, np.full_like(images[..., :1], 255)], axis=3)
    _assert_same(
        _fit_transform(estimator, images),
        _fit_transform(estimator, opaque),
        "an opaque alpha channel changes the output",
    )


def check_float_images(estimator: BaseEstimator, images: Images) -> None:
    """float32 and float64 in [0, 1] are accepted, and give as many features as uint8."""
    n_features = _fit_transform(estimator, images).shape[1:]
    for dtype in (np.float32, np.float64):
        output = _fit_transform(estimator, (images / 255).astype(dtype))
        assert output.shape[1:] == n_features, f"{np.dtype(dtype)} gives {output.shape[1:]}"


def check_flat(estimator: BaseEstimator, images: Images) -> None:
    """A flat array with image_shape gives the same output as the images."""
    if "image_shape" not in estimator.get_params():
        return
    flat = clone(estimator).set_params(image_shape=images.shape[1:])
    rows = images.reshape(len(images), -1)
    output = _apply(_fit(flat, rows), rows)
    _assert_same(output, _fit_transform(estimator, images), "flat input differs")
    assert flat.n_features_in_ == images[0].size, "n_features_in_ is not the number of pixels"
    without = clone(estimator).set_params(image_shape=None)
    _assert_raises(without, rows, "a flat array without image_shape")


def check_batch_invariance(estimator: BaseEstimator, images: Images) -> None:
    """The output for an image does not depend on the batch, but for rounding in classifiers."""
    tolerance = ROUNDING if is_classifier(estimator) else 0.0
    fitted = _fit(clone(estimator), images)
    whole = _apply(fitted, images)
    single = np.concatenate([_apply(fitted, images[i : i + 1]) for i in range(len(images))])
    _assert_same(single, whole, "one image at a time gives other rows", tolerance)
    halves = np.concatenate([_apply(fitted, images[:3]), _apply(fitted, images[3:])])
    _assert_same(halves, whole, "two batches give other rows", tolerance)


def check_order_invariance(estimator: BaseEstimator, images: Images) -> None:
    """Reordered images give reordered rows, but for rounding in classifiers."""
    tolerance = ROUNDING if is_classifier(estimator) else 0.0
    fitted = _fit(clone(estimator), images)
    _assert_same(
        _apply(fitted, images[::-1])[::-1], _apply(fitted, images), "the order matters", tolerance
    )


def check_n_jobs_invariance(estimator: BaseEstimator, images: Images) -> None:
    """The output does not depend on n_jobs."""
    if "n_jobs" not in estimator.get_params():
        return
    serial = clone(estimator).set_params(n_jobs=1)
    threaded = clone(estimator).set_params(n_jobs=2)
    _assert_same(
        _fit_transform(threaded, images), _fit_transform(serial, images), "n_jobs=2 differs"
    )


def check_input_untouched(estimator: BaseEstimator, images: Images) -> None:
    """Input is unchanged; read-only, memory-mapped, strided, big-endian arrays are accepted."""
    mine = images.copy()
    expected = _fit_transform(estimator, mine)
    assert np.array_equal(mine, images), "the input was changed"
    assert mine.flags.writeable, "the input was made read-only"
    mine.flags.writeable = False
    _assert_same(_fit_transform(estimator, mine), expected, "a read-only input differs")
    padded = np.repeat(images, 2, axis=2)[:, :, ::2]
    _assert_same(_fit_transform(estimator, padded), expected, "a strided input differs")
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "images.npy", images)
        mapped = np.load(Path(folder) / "images.npy", mmap_mode="r")
        _assert_same(_fit_transform(estimator, mapped), expected, "a memory-mapped input differs")
        del mapped
    floats = images / 255
    _assert_same(
        _fit_transform(estimator, floats.astype(">f8")),
        _fit_transform(estimator, floats),
        "a big-endian input differs",
    )


def check_empty_batch(estimator: BaseEstimator, images: Images) -> None:
    """An empty batch gives no rows in transform, and an error in fit."""
    fitted = _fit(clone(estimator), images)
    output = _apply(fitted, images[:0])
    expected = (0, *_apply(fitted, images[:1]).shape[1:])
    assert output.shape == expected, f"an empty batch gives {output.shape}, not {expected}"
    try:
        _fit(clone(estimator), images[:0])
    except ValueError:
        return
    raise AssertionError("fit takes an empty batch")


def check_bad_input_refused(estimator: BaseEstimator, images: Images) -> None:
    """NaN, infinity, values out of range and wrong shapes are refused with ValueError/TypeError."""
    floats = images / 255
    for value in (np.nan, np.inf, -0.5, 1.5):
        bad = floats.copy()
        bad[1, 2, 3, 0] = value
        _assert_raises(clone(estimator), bad, f"a pixel of {value}")
    _assert_raises(clone(estimator), images.astype(np.int64), "int64")
    _assert_raises(clone(estimator), images[..., :2], "two channels")
    _assert_raises(clone(estimator), images[:, 0, 0, 0], "one dimension")


def check_clone(estimator: BaseEstimator, images: Images) -> None:
    """Clone copies parameters; __init__ only assigns; fit changes no parameter."""
    params = estimator.get_params(deep=False)
    for name, value in clone(estimator).get_params(deep=False).items():
        assert repr(value) == repr(params[name]), f"clone changes {name}"
    fresh = clone(estimator)
    extra = set(vars(fresh)) - set(params) - {OUTPUT_CONFIG}
    assert not extra, f"__init__ sets {sorted(extra)}"
    before = {name: repr(value) for name, value in fresh.get_params().items()}
    _fit(fresh, images)
    after = {name: repr(value) for name, value in fresh.get_params().items()}
    assert before == after, "fit changes a parameter"


def check_pickle(estimator: BaseEstimator, images: Images) -> None:
    """A pickled and loaded transformer gives the same output."""
    fitted = _fit(clone(estimator), images)
    _assert_same(
        _apply(pickle.loads(pickle.dumps(fitted)), images),  # noqa: S301 - our own bytes
        _apply(fitted, images),
        "pickling changes the output",
    )


def check_feature_names(estimator: BaseEstimator, images: Images) -> None:
    """Feature names are unique strings, one per column."""
    if is_classifier(estimator):
        return
    fitted = _fit(clone(estimator), images)
    names = fitted.get_feature_names_out()
    output = _apply(fitted, images)
    if output.ndim != 2:
        return
    assert len(names) == output.shape[1], f"{len(names)} names for {output.shape[1]} columns"
    assert len(set(names)) == len(names), "names are not unique"
    assert all(isinstance(name, str) for name in names), "names are not all strings"


def check_set_output(estimator: BaseEstimator, images: Images) -> None:
    """set_output(transform="pandas") gives a frame with the names; images remain arrays."""
    if is_classifier(estimator):
        return
    fitted = clone(estimator).set_output(transform="pandas").fit(images)
    output: Any = _apply(fitted, images)
    plain = _fit_transform(estimator, images)
    if plain.ndim != 2:
        _assert_same(output, plain, "set_output changes images")
        return
    assert type(output).__name__ == "DataFrame", f"returned a {type(output).__name__}"
    assert list(output.columns) == list(fitted.get_feature_names_out()), "columns are not the names"
    _assert_same(output.to_numpy(), plain, "pandas output differs")


def check_transform_keeps_no_state(estimator: BaseEstimator, images: Images) -> None:
    """Transform does not change attributes of the transformer."""
    fitted = _fit(clone(estimator), images)
    before = pickle.dumps(vars(fitted))
    _apply(fitted, images[:2])
    assert pickle.dumps(vars(fitted)) == before, "transform writes to the transformer"


def check_fit_idempotent(estimator: BaseEstimator, images: Images) -> None:
    """Fit returns self, and fitting again gives the same output."""
    once = clone(estimator)
    assert _fit(once, images) is once, "fit does not return self"
    first = _apply(once, images)
    _assert_same(_apply(_fit(once, images), images), first, "fitting twice gives other rows")


def check_labels(estimator: BaseEstimator, images: Images) -> None:
    """A classifier returns labels as it got them, and has them in `classes_`."""
    if not is_classifier(estimator):
        return
    fitted = _fit(clone(estimator), images)
    assert fitted.classes_.tolist() == ["even", "odd"], f"classes_ is {fitted.classes_!r}"
    found = set(np.asarray(fitted.predict(images)).tolist())
    assert found <= {"even", "odd"}, f"predict returns {sorted(map(str, found))}"


def check_stateless_needs_no_fit(estimator: BaseEstimator, images: Images) -> None:
    """A transformer with the tag requires_fit=False gives the same output without fit."""
    if estimator.__sklearn_tags__().requires_fit:
        return
    _assert_same(
        clone(estimator).transform(images),
        _apply(_fit(clone(estimator), images[:2]), images),
        "tagged requires_fit=False, but what it was fitted on matters",
    )


CHECKS: tuple[Callable[[BaseEstimator, Images], None], ...] = (
    check_output,
    check_grey_and_color,
    check_float_images,
    check_flat,
    check_batch_invariance,
    check_order_invariance,
    check_n_jobs_invariance,
    check_input_untouched,
    check_empty_batch,
    check_bad_input_refused,
    check_clone,
    check_pickle,
    check_feature_names,
    check_set_output,
    check_transform_keeps_no_state,
    check_fit_idempotent,
    check_labels,
    check_stateless_needs_no_fit,
)


def _fix_random_state(estimator: BaseEstimator) -> BaseEstimator:
    """Return a copy with random_state=0 in place of None."""
    params = estimator.get_params()
    names = [name for name in params if name.split("__")[-1] == "random_state"]
    return clone(estimator).set_params(**{name: 0 for name in names if params[name] is None})


def _sample_images() -> Images:
    from skimage import data

    pictures = (data.astronaut(), data.chelsea(), data.coffee())
    crops = [p[y : y + 64, 150:214] for p in pictures for y in (60, 180)]
    return np.stack(crops)


def _fit(estimator: Any, images: Images) -> Any:
    """Fit a transformer, or a classifier on labels of every other image."""
    if not is_classifier(estimator):
        return estimator.fit(images)
    return estimator.fit(images, np.resize(["even", "odd"], len(images)))


def _apply(fitted: Any, images: Images) -> Any:
    """Return features, probabilities, or the decision function."""
    methods = ("predict_proba", "decision_function") if is_classifier(fitted) else ("transform",)
    return next(getattr(fitted, name) for name in methods if hasattr(fitted, name))(images)


def _fit_transform(estimator: BaseEstimator, images: Images) -> NDArray[Any]:
    return _apply(_fit(clone(estimator), images), images)


def _assert_same(
    actual: NDArray[Any], expected: NDArray[Any], message: str, tolerance: float = 0.0
) -> None:
    assert actual.shape == expected.shape, f"{message}: shape {actual.shape}, {expected.shape}"
    assert np.allclose(actual, expected, rtol=0, atol=tolerance), (
        f"{message}, by up to {np.abs(actual.astype(float) - expected).max():g}"
    )


def _assert_raises(estimator: BaseEstimator, images: Images, what: str) -> None:
    try:
        _apply(_fit(estimator, images), images)
    except (ValueError, TypeError):
        return
    raise AssertionError(f"{what} is taken")
