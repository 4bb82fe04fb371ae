"""Put the measured tables into README.md and docs/performance.md, from benchmarks/results.

``make readme`` runs it. benchmark.json is from ``imgfeat benchmark --out benchmarks/results``, the
other result files are from the scripts of their names. README.md has the most telling figures,
docs/performance.md has them all.
"""

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START = "<!-- measured: made by `make readme` from benchmarks/results/, do not edit -->"
END = "<!-- end measured -->"

Content = dict[str, Any]


def render(results: Path) -> str:
    """Return all tables as Markdown, each under a heading of its own."""
    sections: dict[str, tuple[str, Callable[[Content], list[str]]]] = {
        "Recipes on images that ship with packages": ("benchmark", _describe_benchmark),
        "Recipes on Fashion-MNIST": ("recipes_fashion-mnist", _describe_recipes),
        "All of Fashion-MNIST": ("fashion", _describe_fashion),
        "Feature groups alone and together": ("fusion", _describe_fusion),
        "Support vector machines": ("svm", _describe_svm),
        "HOG and LBP": ("features", _describe_features),
        "Networks on the CPU": ("embedding", _describe_embedding),
        "Layers of a network": ("layers", _describe_layers),
        "Searches": ("tuning", _describe_tuning),
        "Streaming": ("streaming", _describe_streaming),
        "HOG and LBP as ONNX graphs": ("graphs", _describe_graphs),
        "One image to its label": ("runtime", _describe_runtime),
        "Agreement of exported files with their pipelines": ("agreement", _describe_agreement),
    }
    parts = []
    for heading, (name, describe) in sections.items():
        content = _read(results, name)
        machine = content["environment"]["machine"]
        measured = f"Measured on {machine['processor']}, {machine['cores']} cores."
        parts.append("\n".join([f"## {heading}", "", *describe(content), "", measured]))
    return "\n\n".join(parts)


def render_summary(results: Path) -> str:
    """Return the table of README.md: at most ten rows of the most telling figures."""
    rows = [
        *_summarize_features(_read(results, "features")),
        *_summarize_embedding(_read(results, "embedding")),
        *_summarize_heads(_read(results, "svm"), _read(results, "tuning")),
        _summarize_runtime(_read(results, "runtime")),
        _summarize_fashion(_read(results, "fashion")),
        _summarize_agreement(_read(results, "agreement")),
    ]
    return "\n".join(["| what | imgfeat | compared with |", "|---|---|---|", *rows])


def _read(results: Path, name: str) -> Content:
    return json.loads((results / f"{name}.json").read_text())


def _summarize_features(features: Content) -> list[str]:
    rows = []
    for name, peer in (
        ("HOG 224x224", "scikit-image"),
        ("HOG 224x224", "OpenCV"),
        ("LBP (8, 1) 224x224", "scikit-image"),
    ):
        case = _find_case(features, name, peer)
        own, other = (statistics.median(case["us_per_image"][who]) for who in ("imgfeat", peer))
        rows.append(
            f"| {name}, one thread | {own:,.0f} µs an image | {peer}: {other:,.0f} µs, "
            f"{case['ratio_median']:.0f} times as long |"
        )
    return rows


def _summarize_embedding(embedding: Content) -> list[str]:
    rows = []
    for precision in ("fp32", "int8"):
        peer = "torch eager, channels last"
        case = _find_case(embedding, f"middle layers (default), {precision}", peer)
        own, other = (statistics.median(case["ms_per_image"][who]) for who in ("imgfeat", peer))
        rows.append(
            f"| CNN features 224x224, {precision}, one thread | {own:.1f} ms an image | "
            f"torch in fp32: {other:.1f} ms, {case['ratio_median']:.1f} times as long |"
        )
    return rows


def _find_case(content: Content, name: str, peer: str) -> Content:
    return next(c for c in content["cases"] if c["case"] == name and c["peer"] == peer)


def _summarize_heads(svm: Content, tuning: Content) -> list[str]:
    fits = {row["name"]: row for row in svm["rows"]}
    own, peer = fits["imgfeat svm()"], fits["scikit-learn SVC"]
    searches = {(row["search"], row["features"]): row for row in tuning["rows"]}
    quick, slow = searches["imgfeat", "imgfeat"], searches["optuna-integration", "scikit-image"]
    return [
        f"| RBF SVM on {svm['n_train']:,} images, {svm['n_features']:,} features | "
        f"{own['fit_seconds']:,.0f} s, accuracy {own['accuracy']:.4f} | scikit-learn SVC: "
        f"{peer['fit_seconds']:,.0f} s, accuracy {peer['accuracy']:.4f} |",
        f"| Search of {tuning['n_trials']} trials over HOG, LBP and an SVM | "
        f"{quick['seconds']:.1f} s, accuracy {quick['best_score']:.4f} | "
        f"optuna-integration with scikit-image's features: {slow['seconds']:.1f} s, "
        f"accuracy {slow['best_score']:.4f} |",
    ]


def _summarize_runtime(runtime: Content) -> str:
    times = next(row for row in runtime["rows"] if row["recipe"] == "hog_svm")["milliseconds"]
    own, peer = (times[who]["median"] for who in ("imgfeat ONNX", "scikit-image pipeline"))
    return (
        f"| One image to its label, `hog_svm` as an ONNX file | {own:.2f} ms | "
        f"pipeline with scikit-image's HOG: {peer:.2f} ms |"
    )


def _summarize_fashion(fashion: Content) -> str:
    accuracy = {row["name"]: row["accuracy"] for row in fashion["rows"]}
    return (
        "| Fashion-MNIST, official split | "
        f"classical features {accuracy['classical']:.4f}, with a frozen CNN "
        f"{accuracy['classical and CNN']:.4f} | the data set's own table: HOG and an SVM 0.926, "
        "VGG16 trained on it 0.935 |"
    )


def _summarize_agreement(agreement: Content) -> str:
    equal, unseen = (sum(row[key] for row in agreement["rows"]) for key in ("n_equal", "n_unseen"))
    return (
        "| Predictions of exported ONNX files for unseen images | "
        f"{equal:,} of {unseen:,} equal | the fitted pipelines, {len(agreement['shares'])} models |"
    )


def _describe_benchmark(recipes: Content) -> list[str]:
    return [
        "Recipes on images that ship with scikit-image and scikit-learn, by `imgfeat benchmark`: "
        f"means of {_count_folds(recipes['summary'])}; textures are tested on halves of the "
        "pictures that they were not trained on. A recipe is tied with the best if the folds show "
        "no significant difference "
        f"(at commit {(recipes['environment']['commit'] or 'unknown')[:12]}).",
        "",
        "| data | recipe | verdict | accuracy | macro F1 | fit s | images/s | features |",
        "|---|---|---|---|---|---|---|---|",
        *(_recipe_row(row) for row in recipes["summary"] if "error" not in row),
    ]


def _describe_fashion(fashion: Content) -> list[str]:
    return [
        "The official split of 60,000 and 10,000 images with frozen features and one kernel for "
        "each feature group. The data set's own table has 0.926 for HOG and an SVM and 0.935 for "
        "VGG16 trained on it.",
        "",
        "| what | accuracy | features s | fit s | images/s |",
        "|---|---|---|---|---|",
        *(_fashion_row(row) for row in fashion["rows"]),
    ]


def _describe_svm(svm: Content) -> list[str]:
    return [
        f"{svm['n_train']:,} images of Fashion-MNIST, {svm['n_features']:,} HOG features, all with "
        'C=10 and gamma="scale"; each fitted once, on a machine that had other work as well.',
        "",
        "| head | accuracy | fit s | images/s |",
        "|---|---|---|---|",
        *(_svm_row(row) for row in svm["rows"]),
    ]


def _describe_features(features: Content) -> list[str]:
    return [
        "One thread; equal results are checked first, except against OpenCV and mahotas, which "
        "define theirs otherwise.",
        "",
        "| case | images a batch | imgfeat µs an image | peer | peer µs an image | times faster |",
        "|---|---|---|---|---|---|",
        *(_case_row(case) for case in features["cases"]),
    ]


def _describe_embedding(embedding: Content) -> list[str]:
    return [
        "EfficientNet-Lite0 at 224x224, on one thread unless said, against torch eager with the "
        "same weights, and from JPEG files against a loop of PIL, torchvision and one call an "
        "image; features are compared first.",
        "",
        "| case | imgfeat ms an image | peer | peer ms an image | times faster |",
        "|---|---|---|---|---|",
        *(_embedding_row(case) for case in embedding["cases"]),
        *_describe_accuracy(embedding["accuracy"]),
    ]


def _describe_layers(layers: Content) -> list[str]:
    return [
        "Which layers of EfficientNet-Lite0 make the best features (RBF SVM with C=10, nothing "
        f"tuned, images at {layers['size']}x{layers['size']}; the ten best and the usual last "
        "layer).",
        "",
        f"| layers | pooling | grid | features | {' | '.join(layers['rows'][0]['accuracy'])} |",
        "|---|---|---|---|" + "---|" * len(layers["rows"][0]["accuracy"]),
        *(_layer_row(row) for row in _choose_rows(layers["rows"])),
    ]


def _describe_agreement(agreement: Content) -> list[str]:
    rows = []
    for model, share in agreement["shares"].items():
        own = [row for row in agreement["rows"] if row["model"] == model]
        equal, unseen = (sum(row[key] for row in own) for key in ("n_equal", "n_unseen"))
        largest = max(row["largest_difference"] for row in own)
        rows.append(f"| {model} | {unseen:,} | {equal:,} | {100 * share:.2f} % | {largest:.1e} |")
    data = list(dict.fromkeys(row["data"] for row in agreement["rows"]))
    return [
        f"Every recipe, and boosting by other libraries, fitted on {', '.join(data[:-1])} and "
        f"{data[-1]}, exported on training images only, and compared with its file on images that "
        "neither training nor export has seen. A label counts as equal only if it is the same. "
        f"The goal is {100 * agreement['goal']:.2f} % of the labels.",
        "",
        "| model | unseen images | equal labels | share | largest difference in a probability |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _count_folds(rows: list[dict[str, Any]]) -> str:
    folds = {row["data"]: row["repeats"] for row in rows}
    return ", ".join(f"{count} folds of {data}" for data, count in folds.items())


def _recipe_row(row: dict[str, Any]) -> str:
    return (
        f"| {row['data']} | {row['recipe']} | {row['verdict']} | {row['accuracy']:.3f} | "
        f"{row['macro_f1']:.3f} | "
        f"{row['fit_seconds']:.2f} | {row['images_per_second']:,.0f} | {row['n_features']:,.0f} |"
    )


def _fashion_row(row: dict[str, Any]) -> str:
    return (
        f"| {row['name']} | {row['accuracy']:.4f} | {row['feature_seconds']:.0f} | "
        f"{row['fit_seconds']:.0f} | {row['images_per_second']:,.0f} |"
    )


def _svm_row(row: dict[str, Any]) -> str:
    return (
        f"| {row['name']} | {row['accuracy']:.4f} | {row['fit_seconds']:,.0f} | "
        f"{row['images_per_second']:,.0f} |"
    )


def _describe_recipes(recipes: Content) -> list[str]:
    rows = sorted(recipes["rows"], key=lambda row: -row["accuracy"])
    return [
        f"{rows[0]['n_train']:,} of its images to train on, the {rows[0]['n_test']:,} of its test "
        "set to test on, features included; on a machine that had other work as well.",
        "",
        "| recipe | accuracy | fit s | images/s | model MB | peak memory MB |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['recipe']} | {row['accuracy']:.4f} | {row['fit_seconds']:,.0f} | "
            f"{row['images_per_second']:,.0f} | {row['model_megabytes']:,.1f} | "
            f"{row['peak_megabytes']:,.0f} |"
            for row in rows
        ),
    ]


def _describe_fusion(fusion: Content) -> list[str]:
    rows = fusion["rows"]
    names, data = (list(dict.fromkeys(row[key] for row in rows)) for key in ("name", "data"))
    means = {(row["name"], row["data"]): statistics.mean(row["accuracy"]) for row in rows}
    splits = max(len(row["accuracy"]) for row in rows)
    return [
        "RBF SVMs with C=10 (smooth ones with a gamma of 0.3 times 1 / d); means of "
        f"{splits} splits, of 4 for textures; Fashion-MNIST with 10,000 images to train on, "
        "sign-digits 70/30.",
        "",
        f"| features | {' | '.join(data)} |",
        "|---|" + "---|" * len(data),
        *(
            f"| {name} | " + " | ".join(f"{means[name, source]:.4f}" for source in data) + " |"
            for name in names
        ),
    ]


def _describe_graphs(graphs: Content) -> list[str]:
    rows = []
    for case in graphs["cases"]:
        times = {who: statistics.median(values) for who, values in case["us_per_image"].items()}
        rows.append(
            f"| {case['case']} | {case['batch']} | {times['graph']:.0f} | {times['kernel']:.0f} | "
            f"{times['scikit-image']:,.0f} | {times['scikit-image'] / times['graph']:.0f} |"
        )
    return [
        "One thread; features are compared first. Times faster is the graph against scikit-image.",
        "",
        "| graph | images a batch | µs an image | imgfeat's kernel | scikit-image | times faster |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _describe_runtime(runtime: Content) -> list[str]:
    rows = []
    for row in runtime["rows"]:
        times = row["milliseconds"]
        own = times["imgfeat ONNX"]
        peers = [
            f"{times[who]['median']:.2f}" if who in times else ""
            for who in ("imgfeat pipeline", "scikit-image pipeline", "bare CNN session")
        ]
        rows.append(
            f"| {row['recipe']} | {own['median']:.2f} | {own['p99']:.2f} | {' | '.join(peers)} | "
            f"{row['file_megabytes']:.1f} | {row['load_seconds']:.2f} |"
        )
    return [
        "Milliseconds of exported files, of the pipelines themselves, of the same heads behind "
        "scikit-image's features, and of the network alone; medians of "
        f"{runtime['repeats']} calls on one thread, labels compared first.",
        "",
        "| recipe | file | p99 | pipeline | with scikit-image | network alone | file MB | load s |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def _case_row(case: dict[str, Any]) -> str:
    own, other = (statistics.median(case["us_per_image"][n]) for n in ("imgfeat", case["peer"]))
    return (
        f"| {case['case']} | {case['images']['imgfeat']:,} | {own:.1f} | {case['peer']} | "
        f"{other:,.0f} | {case['ratio_median']:.0f} |"
    )


def _embedding_row(case: dict[str, Any]) -> str:
    own, other = (statistics.median(case["ms_per_image"][n]) for n in ("imgfeat", case["peer"]))
    times = f"{own:.2f} | {case['peer']} | {other:.2f}"
    return f"| {case['case']} | {times} | {case['ratio_median']:.2f} |"


def _describe_accuracy(accuracy: Content | None) -> list[str]:
    if accuracy is None:
        return []
    exact, rough = (statistics.mean(accuracy["accuracy"][p]) for p in ("fp32", "int8"))
    splits = len(accuracy["accuracy"]["fp32"])
    return [
        "",
        f"On {accuracy['data']} ({splits} splits) int8 features reach {rough:.4f} where fp32 ones "
        f"reach {exact:.4f}.",
    ]


def _choose_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = [row for row in rows if row["layers"] == "last" and row["grid"] == 1]
    return rows[:10] + [row for row in last if row not in rows[:10]]


def _layer_row(row: dict[str, Any]) -> str:
    scores = " | ".join(f"{statistics.mean(values):.4f}" for values in row["accuracy"].values())
    pooling = " + ".join(row["pooling"])
    return f"| {row['layers']} | {pooling} | {row['grid']} | {row['n_features']:,} | {scores} |"


def _describe_tuning(tuning: Content) -> list[str]:
    overhead, cache = tuning["overhead_milliseconds"], tuning["cache_seconds"]
    best = tuning["rows"][0]["seconds"]
    return [
        f"Searches over HOG, LBP and an SVM on {tuning['data']} ({tuning['n_images']:,} images, "
        f"{tuning['n_trials']} trials of 3 folds; the same space, folds, sampler and seed, one "
        "thread).",
        "",
        "| search | features | seconds | times as long | best score |",
        "|---|---|---|---|---|",
        *(
            f"| {row['search']} | {row['features']} | {row['seconds']:.1f} | "
            f"{row['seconds'] / best:.1f} | {row['best_score']:.4f} |"
            for row in tuning["rows"]
        ),
        "",
        f"The search itself takes {overhead['memory']:.1f} ms a trial, {overhead['SQLite']:.1f} ms "
        "with its trials in SQLite. A network's features from the disk come "
        f"{cache['cold'] / cache['warm']:.0f} times sooner than computed.",
    ]


def _describe_streaming(streaming: Content) -> list[str]:
    return [
        f"{streaming['n_images']:,} colour images of 96x96, made when asked for, streamed through "
        f"ImageLoader, HOG and LBP into a file by `Batched(n_jobs={streaming['n_jobs']})`.",
        "",
        "| cache | seconds | images/s | peak MB |",
        "|---|---|---|---|",
        *(
            f"| {row['step']} | {row['seconds']:.0f} | {row['images_per_second']:,.0f} | "
            f"{row['peak_megabytes']:,.0f} |"
            for row in streaming["rows"]
        ),
    ]


def main() -> int:
    """Rewrite the parts of README.md and docs/performance.md between the two marks."""
    results = ROOT / "benchmarks" / "results"
    for page, tables in (
        (ROOT / "README.md", render_summary(results)),
        (ROOT / "docs" / "performance.md", render(results)),
    ):
        before, rest = page.read_text().split(START)
        _, after = rest.split(END)
        page.write_text(f"{before}{START}\n\n{tables}\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
