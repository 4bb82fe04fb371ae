"""Reports: whole, without a network, readable with many classes, and nothing in them is markup."""

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline

from imgfeat import HOG, ImageLoader
from imgfeat.datasets import load_folder
from imgfeat.evaluation import TrainingImagesWarning, evaluate, write_report
from imgfeat.evaluation.report.layout import escape_markdown, format_columns, shorten
from imgfeat.evaluation.report.mistakes import find_mistakes
from imgfeat.evaluation.report.plots import MAX_CURVES, draw_pictures


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.text, self.tags = [], "", set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for key, value in attributes if key in ("src", "href")]

    def handle_data(self, data):
        self.text += data


class Told(ClassifierMixin, BaseEstimator):
    """Gives the probabilities that it was told, to images in the order of their pixels' values."""

    def __init__(self, probabilities, classes, threshold=None):
        self.probabilities, self.classes, self.threshold = probabilities, classes, threshold
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return self.probabilities[[int(image.ravel()[0]) for image in X]]

    def predict(self, X):
        p = self.predict_proba(X)
        if self.threshold is not None:
            return (p > self.threshold).astype(int)
        return self.classes_[p.argmax(axis=1)]

    def __sklearn_is_fitted__(self):
        return True


def pictures_of(n, size=12):
    return np.tile(np.arange(n, dtype=np.uint8)[:, None, None], (1, size, size))


@pytest.fixture(scope="module")
def three():
    p = np.array([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6], [0.05, 0.95, 0.0]])
    return evaluate(Told(p, ["a", "b", "c"]), pictures_of(4), ["b", "b", "a", "c"], n_bootstrap=20)


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=(40, 6)) < 0.3
    p = np.clip(truth * 0.4 + rng.uniform(size=truth.shape) * 0.6, 0, 1)
    return evaluate(Told(p, [0, 1], 0.5), pictures_of(40), truth, n_bootstrap=20)


def test_mistakes_are_the_surest_ones(three):
    found = [(m.name, m.true, m.predicted, m.probability) for m in find_mistakes(three)]
    assert found == [
        ("image 3", "c", "b", 0.95), ("image 0", "b", "a", 0.9), ("image 2", "a", "c", 0.6),
    ]  # fmt: skip
    assert len(find_mistakes(three, limit=1)) == 1
    thumbnail = Image.open(io.BytesIO(find_mistakes(three)[0].picture))
    assert thumbnail.size == (96, 96)
    assert thumbnail.getpixel((50, 50)) == (3, 3, 3)


def test_mistakes_of_several_labels():
    p = np.array([[0.9, 0.2], [0.6, 0.05], [0.8, 0.1]])
    found = evaluate(
        Told(p, [0, 1], 0.5), pictures_of(3), [[0, 0], [1, 1], [1, 0]], label_names=["x", "y"],
        n_bootstrap=5,
    )  # fmt: skip
    mistakes = find_mistakes(found)
    assert [(m.name, m.true, m.predicted) for m in mistakes] == [
        ("image 1", "x, y", "x"),
        ("image 0", "none", "x"),
    ]
    assert [m.probability for m in mistakes] == pytest.approx([0.95, 0.9])


def test_mistakes_of_files_and_of_tables(texture_folder):
    paths, names = load_folder(texture_folder)
    model = make_pipeline(ImageLoader(32, color="gray"), HOG(), RidgeClassifier())
    model.fit(paths, names)
    swapped = np.where(names == "brick", "grass", "brick")
    with pytest.warns(TrainingImagesWarning):
        found = evaluate(model, list(paths), swapped, n_bootstrap=5)
    mistakes = find_mistakes(found, limit=50)
    assert sorted(m.name for m in mistakes) == sorted(paths)
    assert mistakes[0].probability is None
    assert mistakes[0].picture[:4] == b"\x89PNG"
    X = HOG().fit_transform(pictures_of(4, 32))
    flat = evaluate(RidgeClassifier().fit(X, [0, 1, 0, 1]), X, [1, 0, 1, 0], n_bootstrap=5)
    assert {m.picture for m in find_mistakes(flat)} == {None}


def test_a_page_needs_nothing_else(three, tmp_path):
    path = write_report(three, tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    page = Page(path.read_text())
    assert len(page.links) == 5 + 3  # pictures and thumbnails
    for link in page.links:
        kind, data = link.split(",")
        assert kind == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(data))).verify()
    assert "script" not in page.tags
    for text in (
        "accuracy",
        "0.250",
        "F1 macro",
        "Most confident errors",
        "3 of 4 images are misclassified",
    ):
        assert text in page.text


def test_markdown_has_its_pictures_beside_it(three, tmp_path):
    path = write_report(three, tmp_path / "my report.md")
    text = path.read_text()
    links = [unquote(link) for link in re.findall(r"!\[.*?\]\((.*?)\)", text)]
    assert len(links) == 5 + 3
    files = {f"my report_files/{p.name}" for p in (tmp_path / "my report_files").iterdir()}
    assert set(links) == files
    assert "| accuracy | 0.250" in text
    perfect = evaluate(Told(np.eye(2), ["a", "b"]), pictures_of(2), ["a", "b"], n_bootstrap=5)
    write_report(perfect, path)
    assert not list(tmp_path.glob("*/mistake-*"))


def test_nothing_in_a_report_is_markup(tmp_path):
    names = ["<b>bold</b>", "pipe | $x$ _a_"]
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    found = evaluate(Told(p, names), pictures_of(3), [names[0], names[1], names[1]], n_bootstrap=5)
    page = Page(write_report(found, tmp_path / "r.html").read_text())
    assert page.text.count("<b>bold</b>") >= 2
    text = write_report(found, tmp_path / "r.md").read_text()
    assert "<b>" not in text
    rows = [line for line in text.splitlines() if line.startswith("| pipe")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 8


def test_many_classes_stay_readable():
    rng = np.random.default_rng(0)
    names = [f"$_{i}" for i in range(60)]
    p = rng.dirichlet(np.ones(60), 200)
    true = np.array(names)[np.r_[np.arange(60), rng.integers(0, 60, 140)]]
    found = evaluate(Told(p, names), pictures_of(200), true, n_bootstrap=5)
    for title, png in draw_pictures(found).items():
        width, height = Image.open(io.BytesIO(png)).size
        assert max(width, height) <= 1300, title


def test_the_worst_classes_are_drawn():
    from imgfeat.evaluation.report.plots import draw_bars, draw_roc

    rng = np.random.default_rng(0)
    names = [f"{i:02}" for i in range(30)]
    codes = np.arange(240) % 30
    p = 0.1 * rng.dirichlet(np.ones(30), 240)
    p[np.arange(240), codes] += 0.5 * (codes < 15)  # the first half is known
    p /= p.sum(axis=1, keepdims=True)
    model = Told(p, names)
    found = evaluate(model, pictures_of(240), np.array(names)[codes], n_bootstrap=5)
    (ax,) = draw_bars(found).axes
    shown = [text.get_text() for text in ax.get_yticklabels()]
    assert len(shown) == 20
    assert set(names[15:]) <= set(shown)
    figure = draw_roc(found)
    entries = [text.get_text().split()[1] for text in figure.legends[0].get_texts()]
    assert len(entries) == MAX_CURVES
    assert set(entries) <= set(names[15:])


def test_multilabel_reports(labels, tmp_path):
    page = Page(write_report(labels, tmp_path / "r.html").read_text())
    assert "6 labels" in page.text
    for title in ("Confusion matrices", "ROC curves", "Precision-recall curves", "Calibration"):
        assert title in page.text
    assert "hamming loss" in page.text


def test_reports_without_scores_or_with_one_class(tmp_path):
    images = pictures_of(6, 32)
    model = make_pipeline(HOG(), RidgeClassifier()).fit(images, ["a", "b"] * 3)
    with pytest.warns(TrainingImagesWarning):
        found = evaluate(model, images, ["a"] * 6, n_bootstrap=5)
    page = Page(write_report(found, tmp_path / "r.html").read_text())
    assert "no probabilities" in page.text
    assert "6 of 6 images were in the training set" in page.text
    assert "Without images: class b" in page.text
    assert "Calibration" not in page.text


def test_curves_and_calibration_are_drawn_from_the_numbers(three):
    from imgfeat.evaluation.report.plots import draw_calibration, draw_confusion

    upper, lower = draw_calibration(three).axes
    (points,) = [line for line in upper.lines if line.get_marker() == "s"]
    # 0.6 in the ninth bin and .7 in the eleventh; .9 and .95 in the fourteenth and fifteenth.
    np.testing.assert_allclose(points.get_xdata(), [0.6, 0.7, 0.9, 0.95])
    np.testing.assert_allclose(points.get_ydata(), [0, 1, 0, 0])
    assert sum(bar.get_height() for bar in lower.patches) == 4
    texts = {text.get_text() for text in draw_confusion(three).axes[0].texts}
    assert texts == {"", "1"}


def test_where_a_report_cannot_go(three, tmp_path):
    with pytest.raises(ValueError, match=r"\.html or \.md"):
        write_report(three, tmp_path / "r.pdf")
    with pytest.raises(ValueError, match="does not exist"):
        write_report(three, tmp_path / "absent" / "r.html")


def test_no_state_is_left(three, tmp_path):
    import matplotlib
    import matplotlib.pyplot as plt

    def settings():  # the backend is chosen when someone asks for it
        return {name: value for name, value in matplotlib.rcParams.items() if name != "backend"}

    before = settings()
    write_report(three, Path(tmp_path) / "r.html")
    assert plt.get_fignums() == []
    assert settings() == before


def test_layout():
    assert shorten("a" * 40, 9) == "aaaa…aaaa"
    assert shorten("two\nlines") == "two lines"
    assert format_columns([("a", "bc"), ("long", "1")]).splitlines() == [
        "a     bc", "--------", "long   1",
    ]  # fmt: skip
    assert escape_markdown("a|b <i> `c`\nd") == r"a\|b &lt;i&gt; \`c\` d"
