"""The table of README.md: at most ten rows of the most telling figures."""

from pathlib import Path

from markdown_tables import Content, format_table, read_results, take_medians


def render_summary(results: Path) -> str:
    """Return the table as Markdown.

    Parameters
    ----------
    results : Path
        Folder of the result files.
    """
    rows = [
        *_summarize_features(read_results(results, "features")),
        *_summarize_embedding(read_results(results, "embedding")),
        *_summarize_heads(read_results(results, "svm"), read_results(results, "tuning")),
        _summarize_runtime(read_results(results, "runtime")),
        _summarize_fashion(read_results(results, "fashion")),
        _summarize_agreement(read_results(results, "agreement")),
    ]
    return "\n".join(format_table(["what", "imgfeat", "compared with"], rows))


def _summarize_features(features: Content) -> list[list[str]]:
    rows = []
    for name, peer in (
        ("HOG 224x224", "scikit-image"),
        ("HOG 224x224", "OpenCV"),
        ("LBP (8, 1) 224x224", "scikit-image"),
    ):
        case = _find_case(features, name, peer)
        own, other = take_medians(case["us_per_image"], "imgfeat", peer)
        rows.append(
            [
                f"{name}, one thread",
                f"{own:,.0f} µs an image",
                f"{peer}: {other:,.0f} µs, {case['ratio_median']:.0f} times as long",
            ]
        )
    return rows


def _summarize_embedding(embedding: Content) -> list[list[str]]:
    rows, peer = [], "torch eager, channels last"
    for precision in ("fp32", "int8"):
        case = _find_case(embedding, f"middle layers (default), {precision}", peer)
        own, other = take_medians(case["ms_per_image"], "imgfeat", peer)
        rows.append(
            [
                f"CNN features 224x224, {precision}, one thread",
                f"{own:.1f} ms an image",
                f"torch in fp32: {other:.1f} ms, {case['ratio_median']:.1f} times as long",
            ]
        )
    return rows


def _find_case(content: Content, name: str, peer: str) -> Content:
    return next(c for c in content["cases"] if c["case"] == name and c["peer"] == peer)


def _summarize_heads(svm: Content, tuning: Content) -> list[list[str]]:
    fits = {row["name"]: row for row in svm["rows"]}
    own, peer = fits["imgfeat svm()"], fits["scikit-learn SVC"]
    searches = {(row["search"], row["features"]): row for row in tuning["rows"]}
    quick, slow = searches["imgfeat", "imgfeat"], searches["optuna-integration", "scikit-image"]
    return [
        [
            f"RBF SVM on {svm['n_train']:,} images, {svm['n_features']:,} features",
            f"{own['fit_seconds']:,.0f} s, accuracy {own['accuracy']:.4f}",
            f"scikit-learn SVC: {peer['fit_seconds']:,.0f} s, accuracy {peer['accuracy']:.4f}",
        ],
        [
            f"Search of {tuning['n_trials']} trials over HOG, LBP and an SVM",
            f"{quick['seconds']:.1f} s, accuracy {quick['best_score']:.4f}",
            f"optuna-integration with scikit-image's features: {slow['seconds']:.1f} s, "
            f"accuracy {slow['best_score']:.4f}",
        ],
    ]


def _summarize_runtime(runtime: Content) -> list[str]:
    times = next(row for row in runtime["rows"] if row["recipe"] == "hog_svm")["milliseconds"]
    own, peer = (times[who]["median"] for who in ("imgfeat ONNX", "scikit-image pipeline"))
    return [
        "One image to its label, `hog_svm` as an ONNX file",
        f"{own:.2f} ms",
        f"pipeline with scikit-image's HOG: {peer:.2f} ms",
    ]


def _summarize_fashion(fashion: Content) -> list[str]:
    accuracy = {row["name"]: row["accuracy"] for row in fashion["rows"]}
    return [
        "Fashion-MNIST, official split",
        f"classical features {accuracy['classical']:.4f}, with a frozen CNN "
        f"{accuracy['classical and CNN']:.4f}",
        "the data set's own table: HOG and an SVM 0.926, VGG16 trained on it 0.935",
    ]


def _summarize_agreement(agreement: Content) -> list[str]:
    equal, unseen = (sum(row[key] for row in agreement["rows"]) for key in ("n_equal", "n_unseen"))
    return [
        "Predictions of exported ONNX files for unseen images",
        f"{equal:,} of {unseen:,} equal",
        f"the fitted pipelines, {len(agreement['shares'])} models",
    ]
